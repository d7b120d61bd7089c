"""Whether the model declined: where its provider says so, or where its first words do."""

import re

from streams.answers.step import Draft, Finding, Noted, Step, Wanting

_LOOKED_AT_CHARS = 160
"""Who declines says so first. Further down the same words are part of an answer."""
_SORRY = (
    r"(?:i'?m|i am) (?:very |really |so |truly )?sorry|sorry|(?:my )?apologies|i apologi[sz]e|unfortunately|regrettably"
)
_CANNOT = (
    r"(?:can ?not|can't|won't|will not|(?:am|'m|are|'re) (?:not able|unable|not going) to|must decline|have to decline)"
)
_HOW = r"(?: (?:really|currently|directly|personally|legally|ethically|in good conscience))?"
_DOES = (
    r"help(?! but| it\b| myself| (?:falling|feeling|laughing|noticing|smiling|thinking|wondering))|assist|comply"
    r"|provide|answer(?! for)|do (?:that|this|so)(?! (?:again|any ?more|alone))|fulfil|support|discuss|share|engage"
    r"|(?:create|generate)(?![^.!?\n]*\bwithout\b)"
)
_DOES_SORRY = (
    r"write|give(?! up)|produce|offer|complete|process|reveal|disclose|advise|respond|translate|summari[sz]e|identify"
    r"|access|browse|open|view|yet|with (?:that|this)"
)
"""What one may also say in a story, or of a jar: to decline, one is sorry for it."""
_NO_MORE = r"\W*(?:$|[.!?\n])"
_ASKED = (
    r"(?: (?:you|to|with|on|about|any|in))* (?:this|that|such|these|those|here|(?:your|the) (?:request|question)s?)\b"
)
"""Who says "we" tells of a house and its rules, unless it is of what was just asked."""
_GERMAN = (
    r"(?:weiter|aus)?helfen|(?:be)?antworten|unterstützen|erfüllen|nachkommen|bearbeiten|dienen|erstellen|schreiben"
    r"|verfassen|geben|liefern|bereitstellen|anbieten|teilen|eingehen|sprechen|diskutieren|übersetzen|zugreifen"
    r"|ausführen|generieren"
)
_FRENCH = (
    r"aider|assister|répondre|fournir|donner|créer|générer|écrire|rédiger|partager|discuter|traiter|accéder|satisfaire"
    r"|faire (?:cela|ça)"
)
_SPANISH = (
    r"ayudar|asistir|responder|contestar|proporcionar|ofrecer|dar(?:te|le|les)?\b|crear|generar|escribir|compartir|cumplir"
    r"|hablar|discutir|procesar|acceder|hacer (?:eso|esto)"
)
_OPENINGS = re.compile(
    rf"(?:{_SORRY})[^.!?\n]{{0,40}}?\bi ?{_CANNOT}{_HOW}(?: (?:{_DOES}|{_DOES_SORRY})\b|{_NO_MORE})"
    rf"|(?:{_SORRY})[^.!?\n]{{0,40}}?\bwe ?{_CANNOT}{_HOW}"
    rf"(?: (?:do (?:that|this|so)\b|(?:{_DOES}|{_DOES_SORRY})(?:{_ASKED}|(?: you)?{_NO_MORE}))|{_NO_MORE})"
    rf"|i ?{_CANNOT}{_HOW} (?:{_DOES})\b"
    rf"|as an ai(?: language model| assistant)?,? i ?(?:{_CANNOT}|(?:don't|do not) have (?:access|the ability))\b"
    r"|(?:(?:es tut mir (?:sehr )?leid|leider|entschuldigung)[^.!?\n]{0,40}?\bkann ich"
    r"|(?:es tut mir (?:sehr )?leid|leider)[^.!?\n]{0,20}?\bich kann)"
    rf"[^.!?\n]{{0,60}}?\b(?:nicht|kein\w*)\b(?:[^.!?\n]{{0,60}}?\b(?:{_GERMAN})\b|{_NO_MORE})"
    r"|(?:je suis (?:vraiment )?désolée?|désolée?)[^.!?\n]{0,40}?\bje ne (?:peux|puis)(?: pas)?\b"
    rf"(?:[^.!?\n]{{0,20}}?\b(?:{_FRENCH})\b|{_NO_MORE})"
    rf"|lo siento[^.!?\n]{{0,40}}?\bno puedo\b(?: (?:{_SPANISH})|{_NO_MORE})"
)
_PRAISES = re.compile(r"[^.!?\n]*\b(?:enough|too much|more highly)\b")
"""What cannot be said enough is said."""
_QUOTES = re.compile(
    r"""[^.!?\n]*,["'”»]* (?:said|says|wrote|writes|sagte?|schrieb|schreibt|steht|heißt|dit|écrit|dijo|dice)\b"""
)
"""What somebody else said is told."""
_PROBLEM = "the model declined to answer; ask otherwise, or ask another model"


def sounds_declined(content: str) -> bool:
    opening = content.lstrip(" \t\r\n\"'*>")[:_LOOKED_AT_CHARS].lower().replace("’", "'")
    if _OPENINGS.match(opening) is None:
        return False
    return _PRAISES.match(opening) is None and _QUOTES.match(opening) is None


def _take(draft: Draft) -> Finding:
    answer = draft.answer
    output = answer.output
    if output.refusal is not None or answer.finish_reason in {"refusal", "content_filter"}:
        note = "declined"
    elif output.content is not None and not output.tool_calls and sounds_declined(output.content):
        note = "sounds_declined"
    else:
        return None
    return Wanting(note, _PROBLEM) if draft.rules.refusal == "require" else Noted(note)


STEP = Step("refusal", lambda draft: draft.rules.refusal != "off", _take)

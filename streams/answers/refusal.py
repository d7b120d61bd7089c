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
    r"help(?! but)|assist|comply|provide|answer|do (?:that|this|so)|fulfil|support|discuss|create|share|engage|generate"
)
_DOES_SORRY = (
    r"write|give(?! up)|produce|offer|complete|process|reveal|disclose|advise|respond|translate|summari[sz]e|identify"
    r"|access|browse|open|view|yet|with (?:that|this)"
)
"""What one may also say in a story, or of a jar: to decline, one is sorry for it."""
_NO_MORE = r"\W*(?:$|[.!?\n])"
_OPENINGS = re.compile(
    rf"(?:{_SORRY})[^.!?\n]{{0,40}}?\b(?:i|we) ?{_CANNOT}{_HOW}(?: (?:{_DOES}|{_DOES_SORRY})\b|{_NO_MORE})"
    rf"|i ?{_CANNOT}{_HOW} (?:{_DOES})\b"
    rf"|as an ai(?: language model| assistant)?,? i ?(?:{_CANNOT}|(?:don't|do not) have (?:access|the ability))\b"
    r"|(?:es tut mir (?:sehr )?leid|leider|entschuldigung)[^.!?\n]{0,40}?\bkann ich[^.!?\n]{0,60}?\b(?:nicht|kein\w*)\b"
    r"|(?:es tut mir (?:sehr )?leid|leider)[^.!?\n]{0,20}?\bich kann[^.!?\n]{0,60}?\b(?:nicht|kein\w*)\b"
    r"|(?:je suis (?:vraiment )?désolée?|désolée?)[^.!?\n]{0,40}?\bje ne (?:peux pas(?! m'empêcher)|puis)\b"
    r"|lo siento[^.!?\n]{0,40}?\bno puedo\b(?! (?:evitar|dejar|imaginar|creer))"
)
_PRAISES = re.compile(r"[^.!?\n]*\b(?:enough|too much|more highly)\b")
"""What cannot be said enough is said."""
_PROBLEM = "the model declined to answer; ask otherwise, or ask another model"


def sounds_declined(content: str) -> bool:
    opening = content.lstrip(" \t\r\n\"'*>")[:_LOOKED_AT_CHARS].lower().replace("’", "'")
    return _OPENINGS.match(opening) is not None and _PRAISES.match(opening) is None


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

"""Whether the model declined: where its provider says so, or where its first words do."""

import re

from streams.answers.step import Draft, Finding, Noted, Step, Wanting

_LOOKED_AT_CHARS = 160
"""Who declines says so first. Further down the same words are part of an answer."""
_SORRY = r"(?:i'?m|i am) (?:very |really |so )?sorry|sorry|(?:my )?apologies|i apologi[sz]e|unfortunately|regrettably"
_CANNOT = r"can ?not|can't|won't|will not|(?:a|')m (?:not able|unable|not going) to|must decline|have to decline"
_DOES = r"help|assist|comply|provide|answer|do that|fulfil|support|discuss|create|share|engage"
_OPENINGS = re.compile(
    rf"(?:{_SORRY})[^.!?\n]{{0,40}}?\b(?:i|we) ?(?:{_CANNOT})"
    rf"|i ?(?:{_CANNOT}) (?:{_DOES})"
    r"|as an ai(?: language model| assistant)?,? i\b"
    r"|es tut mir leid[^.!?\n]{0,40}?\bkann ich"
    r"|je suis désolée?[^.!?\n]{0,40}?\bje ne (?:peux|puis)"
    r"|lo siento[^.!?\n]{0,40}?\bno puedo"
)
_PROBLEM = "the model declined to answer; ask otherwise, or ask another model"


def sounds_declined(content: str) -> bool:
    opening = content.lstrip(" \t\r\n\"'*>")[:_LOOKED_AT_CHARS].lower().replace("’", "'")
    return _OPENINGS.match(opening) is not None


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

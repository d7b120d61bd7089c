"""Whether the answer is whole: a model stops in the middle of a word when it has used up its tokens."""

from streams.answers.step import Draft, Finding, Noted, Step, Wanting

_PROBLEM = "the answer was cut off at params.max_tokens, or by its provider; allow it more, or ask for less"


def _take(draft: Draft) -> Finding:
    if draft.answer.finish_reason != "length" and draft.answer.complete:
        return None
    return Wanting("cut_off", _PROBLEM) if draft.rules.truncation == "require" else Noted("cut_off")


STEP = Step("truncation", lambda draft: draft.rules.truncation != "off", _take)

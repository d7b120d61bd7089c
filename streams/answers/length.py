"""Whether the answer says enough to be one."""

from streams.answers.step import Draft, Finding, Step, Wanting


def _take(draft: Draft) -> Finding:
    """Calls of tools are an answer of whatever length."""
    output, least = draft.answer.output, draft.rules.min_chars
    if output.tool_calls:
        return None
    chars = len((output.content or "").strip())
    if chars >= least:
        return None
    return Wanting("too_short", f"the answer has {chars} characters, and must have {least}")


STEP = Step("length", lambda draft: draft.rules.min_chars > 0, _take)

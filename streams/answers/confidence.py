"""Whether the model is sure enough of its answer, by its own word."""

from typing import cast

from pydantic import JsonValue

from schemas.base import JsonObject, load_json
from streams.answers.step import Draft, Finding, Step, Wanting


def _take(draft: Draft) -> Finding:
    """An answer that does not say is not sure."""
    output, rules = draft.answer.output, draft.rules
    if output.tool_calls:
        return None
    value = cast("JsonValue", output.parsed) if output.parsed is not None else _read(output.content)
    for name in rules.confidence_field.split("."):
        value = cast("JsonObject", value).get(name) if isinstance(value, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Wanting("unsaid", f"the answer must say a number at {rules.confidence_field}")
    if value >= rules.min_confidence:
        return None
    return Wanting("unsure", f"the answer's {rules.confidence_field} is {value:g}, below {rules.min_confidence:g}")


def _read(content: str | None) -> JsonValue:
    try:
        return load_json(content or "")
    except ValueError:
        return None


STEP = Step("confidence", lambda draft: draft.wants_json and draft.rules.min_confidence > 0, _take)

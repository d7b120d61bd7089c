"""Whether an answer that was to be JSON is JSON, and keeps to its schema; mended first where the rules say so."""

from msgspec.structs import replace
from pydantic import JsonValue

from schemas.base import dump_json, load_json
from schemas.response import Output
from streams.answers.repair import Kind, Unmendable, mended
from streams.answers.schema import UnusableSchema, problems_of
from streams.answers.step import Changed, Draft, Finding, Noted, Step, Wanting

MAX_PARSED_LEVELS = 100
"""JSON nested deeper is left as text: from about 200 levels on, readers of the response refuse the whole of it."""


def parsed(content: str) -> JsonValue:
    """Raises ValueError for what is no JSON, or is nested too deep."""
    value = load_json(content)
    if not _is_readable(value, MAX_PARSED_LEVELS):
        raise ValueError("nested too deep")
    return value


def with_parsed(output: Output) -> Output:
    """With what its text says as JSON, if it is JSON: else the text says so itself."""
    if output.content is None:
        return output
    try:
        return replace(output, parsed=parsed(output.content))
    except ValueError:
        return output


def _is_readable(value: JsonValue, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_readable(each, levels - 1) for each in inner)


def _take(draft: Draft) -> Finding:
    """A text that was mended is written anew, so that text and `parsed` say the same."""
    output = draft.answer.output
    if output.tool_calls:
        return None
    try:
        value = parsed(output.content or "")
    except ValueError:
        if draft.rules.structure != "repair":
            return Wanting("no_json", "the answer is not JSON", is_mendable=True)
        try:
            value = mended(output.content or "", _kind_of(draft.json_schema))
        except Unmendable:
            return Wanting("no_json", "the answer is not JSON, and could not be mended", is_mendable=True)
        output = replace(output, content=dump_json(value).decode())
    return _checked(value, draft, output)


def _kind_of(schema: str | None) -> Kind:
    """What a schema asks for, where it says so: with references it may not."""
    try:
        said = load_json(schema or "{}")
    except ValueError:
        return "any"
    if not isinstance(said, dict):
        return "any"
    match said.get("type", "object" if "properties" in said else None):
        case "object" | ["object"]:
            return "object"
        case "array" | ["array"]:
            return "array"
        case _:
            return "any"


def _checked(value: JsonValue, draft: Draft, output: Output) -> Finding:
    is_mended = output is not draft.answer.output
    if draft.json_schema is None:
        if not isinstance(value, dict | list):
            return Wanting("no_object", "the answer is JSON, but no object", is_mendable=True)
        return Changed(output, "repaired") if is_mended else None
    try:
        problems = problems_of(value, draft.json_schema)
    except UnusableSchema:
        return Changed(output, "repaired_unchecked") if is_mended else Noted("unchecked")
    if problems:
        told = "; ".join(problems)
        return Wanting("other_schema", f"the answer does not keep to its JSON schema: {told}", is_mendable=True)
    return Changed(output, "repaired") if is_mended else None


STEP = Step("structure", lambda draft: draft.wants_json and draft.rules.structure != "off", _take)

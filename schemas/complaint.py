"""One sentence for whoever sent an event that is not valid: which field, what is wrong with it, what to do.

Nothing of a prompt is ever repeated, and of other values only numbers and short words where a choice was missed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.base import NAME_PATTERN, Model
from schemas.field_path import Place, shape_of
from schemas.money import MONEY_PATTERN
from schemas.request import PRINTED_PATTERN, Request

MAX_MESSAGE_CHARS = 400
MAX_ECHO_CHARS = 12
MAX_ECHO_BITS = 64
"""Python writes no number of several thousand digits, and needs long for one of fewer."""
MAX_WEIGHED_ERRORS = 100
"""An event of a few megabytes can hold 100 000 errors; to weigh them all would hold up everybody else for seconds."""
PROMPT_FIELD = "messages"
KEY_STEP = "[key]"
"""How pydantic ends the location of a map's key, as opposed to the value under it."""

MUST: dict[str, str] = {
    "missing": "is required: add it",
    "literal_error": "must be {expected}",
    "union_tag_invalid": "must be one of {expected_tags}",
    "union_tag_not_found": "is required: add it",
    "string_type": "must be text",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} characters",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "too_short": "must hold at least {min_length} items",
    "too_long": "must hold at most {max_length} items",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
}
PATTERNS: dict[str, str] = {
    NAME_PATTERN: "must start with a letter or digit and hold only letters, digits and . _ : @ / -",
    r"^[A-Za-z0-9][A-Za-z0-9._-]*$": "must start with a letter or digit and hold only letters, digits and . _ -",
    r"^[A-Za-z0-9_-]{1,64}$": "must be 1 to 64 letters, digits, _ or -",
    MONEY_PATTERN: 'must be an amount of USD such as "0.05", with at most nine digits behind the point',
    r"^[0-9a-f]{64}$": "must be a SHA-256 in 64 hexadecimal digits: `millrace config hash-key` makes one of a key",
    PRINTED_PATTERN: "must not hold control characters, nor blanks only",
}
_BOUNDS = frozenset({"greater_than", "greater_than_equal", "less_than", "less_than_equal"})
_CHOICES = frozenset({"literal_error", "union_tag_invalid"})


@dataclass(frozen=True, slots=True)
class Complaint:
    """`field` is None when the event as a whole is not readable. `message` is at most MAX_MESSAGE_CHARS long."""

    field: str | None
    message: str


@dataclass(frozen=True, slots=True)
class _Fault:
    """All that is wrong at one place: several errors where each alternative was tried and failed."""

    place: Place
    errors: tuple[ErrorDetails, ...]


def complaint(error: ValidationError, model: type[Model] = Request) -> Complaint:
    """The most useful of the errors, and how many other fields have one. `model` is what was to be read."""
    faults = _faults(error.errors(include_url=False)[:MAX_WEIGHED_ERRORS], model)
    worst = min(faults, key=_rank)
    others = "many" if error.error_count() > MAX_WEIGHED_ERRORS else len(faults) - 1
    more = f" ({others} more to correct)" if others else ""
    sentence = _what_is_wrong(worst) if _speaks_for_itself(worst) else f"{_subject(worst)} {_what_is_wrong(worst)}"
    return Complaint(".".join(worst.place.shown) or None, sentence[: MAX_MESSAGE_CHARS - len(more)] + more)


def _faults(errors: Iterable[ErrorDetails], model: type[Model]) -> list[_Fault]:
    """In the order of the event, without what only follows from an error further down the same branch."""
    shape = shape_of(model)
    by_place: dict[Place, list[ErrorDetails]] = {}
    for error in errors:
        place = shape.place(error["loc"], unknown_field=_is_unknown(error))
        by_place.setdefault(_tag_or(place, error), []).append(error)
    above = {place.path[:depth] for place in by_place for depth in range(len(place.path))}
    return [_Fault(place, tuple(found)) for place, found in by_place.items() if place.path not in above]


def _tag_or(place: Place, error: ErrorDetails) -> Place:
    """A tagged object is at fault in its tag."""
    if error["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        return Place((*place.path, _context(error)["discriminator"].strip("'")))
    return place


def _is_unknown(error: ErrorDetails) -> bool:
    return error["type"] == "extra_forbidden"


def _context(error: ErrorDetails) -> dict[str, Any]:
    """With whole numbers as such: a limit of 2.0 is written 2."""
    context = error.get("ctx", {})
    return {
        key: int(value) if isinstance(value, float) and value.is_integer() else value for key, value in context.items()
    }


def _subject(fault: _Fault) -> str:
    shown = ".".join(fault.place.shown) or "the event"
    if fault.place.is_showable:
        return shown
    return f"a key of {shown}" if fault.errors[0]["loc"][-1] == KEY_STEP else f"an entry of {shown}"


def _speaks_for_itself(fault: _Fault) -> bool:
    """What is said of a whole object begins with the field that does not fit."""
    return not fault.place.path and fault.errors[0]["type"] == "value_error"


def _rank(fault: _Fault) -> int:
    """Another version explains every other error; a misspelt name, or a wrong kind, explains what is missing."""
    first = fault.errors[0]
    if fault.place.path == ("schema_version",):
        return 0
    if (_is_unknown(first) and _meant(fault.place)) or first["type"] in _CHOICES:
        return 1
    return 2 if first["type"] == "missing" else 3


def _meant(place: Place) -> str | None:
    return next(iter(get_close_matches(place.path[-1], place.choices, n=1)), None) if place.path else None


def _what_is_wrong(fault: _Fault) -> str:
    if _is_unknown(fault.errors[0]):
        meant = _meant(fault.place)
        return f"is not a known field: did you mean {meant}?" if meant else "is not a known field: remove it"
    demands = list(dict.fromkeys(_demand(error) for error in fault.errors))
    first, *others = demands
    alternatives = [other.removeprefix("must be ") for other in others if other.startswith("must be ")]
    return " or ".join([first, *alternatives]) + _echo(fault)


def _demand(error: ErrorDetails) -> str:
    kind, context = _kind(error), _context(error)
    match kind:
        case "value_error":
            return str(context["error"])
        case "json_invalid":
            return _unreadable(context["error"])
        case "string_pattern_mismatch":
            return PATTERNS.get(context["pattern"], f"must match {context['pattern']}")
        case "string_too_short" | "too_short" if context["min_length"] == 1:
            return "must not be empty"
        case _:
            template = MUST.get(kind)
            return template.format(**context) if template else f"is not valid ({kind.replace('_', ' ')})"


def _kind(error: ErrorDetails) -> str:
    """No bound says anything of what is no number, or is endless."""
    is_endless = isinstance(error["input"], float) and not isfinite(error["input"])
    return "finite_number" if is_endless and error["type"] in _BOUNDS else error["type"]


def _unreadable(why: str) -> str:
    if why.startswith("recursion limit"):
        return f"is nested too deeply ({why}): send fewer objects and lists in one another"
    return f"is not readable JSON ({why}): send one JSON object per record"


def _echo(fault: _Fault) -> str:
    error = fault.errors[0]
    value: object = _context(error).get("tag", error["input"])
    harmless = (
        isinstance(value, bool | float)
        or (isinstance(value, int) and value.bit_length() <= MAX_ECHO_BITS)
        or (isinstance(value, str) and error["type"] in _CHOICES and value.isprintable())
    )
    if not harmless or PROMPT_FIELD in fault.place.path[:1] or len(str(value)) > MAX_ECHO_CHARS:
        return ""
    return f", not {value!r}"

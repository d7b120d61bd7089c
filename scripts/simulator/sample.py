"""A value that fits a JSON Schema: the part of it that structured output and tools use.

Patterns are not honoured, and of several alternatives the first that is not null is taken.
"""

from math import ceil, isfinite
from random import Random

from scripts.simulator.prose import WORDS
from scripts.simulator.shapes import Object, as_array, as_int, as_number, as_object, as_text

# Deeper than this a recursive schema gets its shortest value: no optional property, no item, null where it may be.
_DEEPEST = 6
# Where even that does not end it, or a schema asks for millions of items, the value stops fitting instead.
_ABSURD_DEPTH = 40
_MOST = 1_000
# A schema of a few lines can describe more values than there is time to draw.
_MOST_STEPS = 5_000
_LARGEST = 2**63  # that an answer in JSON can hold

_FORMATS = {
    "date-time": "2026-01-15T09:30:00Z",
    "date": "2026-01-15",
    "time": "09:30:00Z",
    "duration": "PT5M",
    "email": "ada@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.7",
    "ipv6": "2001:db8::7",
    "uri": "https://example.com/item",
    "uuid": "0b8f7a52-6a3b-4d0e-9d57-2f1c6c1e7a10",
}


def value(schema: Object, number: int) -> object:
    """The same schema and number always give the same value."""
    return _Sampler(schema, Random(number)).draw(schema, 0)  # noqa: S311 - replayable filler, nothing secret


class _Sampler:
    def __init__(self, root: Object, dice: Random) -> None:
        self._root = root
        self._dice = dice
        self._steps = 0

    def draw(self, schema: Object, depth: int) -> object:
        if depth >= _ABSURD_DEPTH or self._steps >= _MOST_STEPS:
            return None
        schema = self._resolved(schema, depth)
        fixed = [schema["const"]] if "const" in schema else as_array(schema.get("enum"))
        if fixed:
            return self._dice.choice(fixed)
        drawn: object = None
        match _type_of(schema, depth):
            case "object":
                drawn = self._object(schema, depth)
            case "array":
                drawn = self._array(schema, depth)
            case "string":
                drawn = self._string(schema)
            case "integer":
                drawn = int(self._number(schema, whole=True))
            case "number":
                drawn = self._number(schema, whole=False)
            case "boolean":
                drawn = self._dice.choice((True, False))
            case _:
                pass
        return drawn

    def _resolved(self, schema: Object, depth: int) -> Object:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            return {}
        if reference := as_text(schema.get("$ref")):
            target: Object | None = self._root
            for step in reference.removeprefix("#").strip("/").split("/"):
                target = as_object((target or {}).get(step)) if step else target
            return self._resolved(target or {}, depth + 1) if depth < _ABSURD_DEPTH else {}
        for word in ("anyOf", "oneOf"):
            options = [option for option in map(as_object, as_array(schema.get(word)) or []) if option is not None]
            if options:
                nullable = [option for option in options if option.get("type") == "null"]
                valued = [option for option in options if option.get("type") != "null"]
                chosen = nullable if nullable and depth > _DEEPEST else valued or nullable
                return self._resolved(chosen[0], depth)
        for part in map(as_object, as_array(schema.get("allOf")) or []):
            schema = _merged(schema, self._resolved(part or {}, depth))
        return schema

    def _object(self, schema: Object, depth: int) -> Object:
        properties = as_object(schema.get("properties")) or {}
        required = as_array(schema.get("required")) or []
        return {
            name: self.draw(as_object(part) or {}, depth + 1)
            for name, part in properties.items()
            if depth <= _DEEPEST or name in required
        }

    def _array(self, schema: Object, depth: int) -> list[object]:
        least = min(as_int(schema.get("minItems")) or 0, _MOST)
        most = as_int(schema.get("maxItems"))
        length = least if depth > _DEEPEST else max(least, 2)
        items = as_object(schema.get("items")) or {"type": "string"}
        return [self.draw(items, depth + 1) for _ in range(length if most is None else min(length, most))]

    def _string(self, schema: Object) -> str:
        if known := _FORMATS.get(as_text(schema.get("format")) or ""):
            return known
        least = min(as_int(schema.get("minLength")) or 0, _MOST)
        most = as_int(schema.get("maxLength"))
        text = " ".join(self._dice.choices(WORDS, k=3))
        while len(text) < least:
            text += f" {self._dice.choice(WORDS)}"
        return text if most is None else text[:most]

    def _number(self, schema: Object, *, whole: bool) -> float:
        step = abs(as_number(schema.get("multipleOf")) or (1 if whole else 0.25))
        low = _bound(schema, "minimum", "exclusiveMinimum", step)
        high = _bound(schema, "maximum", "exclusiveMaximum", -step)
        if low is None:
            low = 0 if high is None or high >= 0 else high - 100 * step
        if high is None:
            high = low + 100 * step
        if not (isfinite(low / step) and isfinite(high / step)):
            return 0
        first = ceil(low / step)
        last = max(first, int(high // step))
        drawn = self._dice.randint(first, last) * step
        return drawn if abs(drawn) < _LARGEST else 0


def _type_of(schema: Object, depth: int) -> str:
    kinds = as_array(schema.get("type"))
    if kinds is not None:
        if "null" in kinds and depth > _DEEPEST:
            return "null"
        return next((kind for kind in kinds if isinstance(kind, str) and kind != "null"), "null")
    guessed = "object" if "properties" in schema else "array" if "items" in schema else "string"
    return as_text(schema.get("type")) or guessed


def _merged(left: Object, right: Object) -> Object:
    properties = (as_object(left.get("properties")) or {}) | (as_object(right.get("properties")) or {})
    required = [*(as_array(left.get("required")) or []), *(as_array(right.get("required")) or [])]
    return left | right | ({"properties": properties, "required": required} if properties else {})


def _bound(schema: Object, inclusive: str, exclusive: str, step: float) -> float | None:
    if (limit := as_number(schema.get(exclusive))) is not None:
        return limit + step
    return as_number(schema.get(inclusive))

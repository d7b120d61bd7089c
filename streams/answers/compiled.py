"""Validators of the schemas that were met last, within a bound on what all of them take together.

A few kilobytes of patterns can ask for gigabytes: while one is read, which is before any limit on its compiled size
counts, and again for each text it is matched with.
"""

import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import jsonschema_rs

from schemas.base import JsonObject, dump_json, load_json
from streams.answers.unfolding import parts_of

MOST_KEPT_BYTES = 64 * 1024 * 1024
"""Of all validators together, as estimated from above by `_bytes`."""
_MOST_KEPT = 256
_NEVER_QUOTED = "the value"

_PATTERNS_BYTES = 2 * 1024 * 1024
"""Compiled, of all patterns of a schema together."""
_LEAST_PATTERN_BYTES = 2 * 1024
_MOST_PATTERNS = 128
_MOST_PATTERN_CHARS = 4 * 1024
_MOST_PATTERNS_CHARS = 32 * 1024
_MOST_SCRIPTS = 64
_SCRIPT = re.compile(r"\\[pP]")
"""A class of letters of all scripts is hundreds of ranges, written out at each place where it stands."""
_FLAGS = re.compile(r"\(\?[a-zA-Z-]")
"""No JSON Schema's: ECMAScript knows none. With `(?i)` each of those classes takes 40 KB more, and a millisecond."""

_MOST_WORK = 4_000_000_000
"""Bytes of compiled patterns times characters of a text: two or three seconds at the worst, and mostly a thousandth."""

_CHAR_BYTES, _PART_BYTES = 48, 1024
_MATCHED = 3
_MATCHING_BYTES = 32 * 1024, 128 * 1024
"""What is set up to match with a pattern, beside three times its size: for the least, and for any."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """`names`: of properties, in the schema's own words. `patterns_bytes`: of all its patterns, compiled."""

    validator: jsonschema_rs.Validator
    names: frozenset[str]
    patterns_bytes: int
    size_bytes: int

    def may_check(self, chars: int) -> bool:
        """Whether so many are matched before anybody minds: a pattern takes as long as the text is, times itself."""
        return self.patterns_bytes * chars <= _MOST_WORK


class CompiledSchemas:
    """What does not compile is remembered as well: it would not the next time either."""

    def __init__(self, most_bytes: int = MOST_KEPT_BYTES) -> None:
        self._most_bytes = most_bytes
        self._known: OrderedDict[str, Compiled | None] = OrderedDict()
        self._kept_bytes = 0

    def __len__(self) -> int:
        return len(self._known)

    def get(self, schema: str) -> Compiled | None:
        """None where it cannot be checked, or not within bounds."""
        if schema in self._known:
            self._known.move_to_end(schema)
            return self._known[schema]
        found = compiled(schema)
        self._known[schema] = found
        self._kept_bytes += _kept_bytes(schema, found)
        while self._kept_bytes > self._most_bytes or len(self._known) > _MOST_KEPT:
            self._kept_bytes -= _kept_bytes(*self._known.popitem(last=False))
        return found


def compiled(schema: str) -> Compiled | None:
    try:
        known = load_json(schema)
    except ValueError:
        return None
    parts = parts_of(cast("JsonObject", known)) if isinstance(known, dict) else None
    if parts is None:
        return None
    names = frozenset(_names(known))
    patterns = frozenset(_patterns(known))
    sizes = _sizes(patterns) if _are_short(patterns) else None
    validator = None if sizes is None else _validator(schema, max(sizes, default=_LEAST_PATTERN_BYTES))
    if sizes is None or validator is None:
        return None
    return Compiled(validator, names, sum(sizes), parts * _PART_BYTES + sum(map(_matching_bytes, sizes)))


def _sizes(patterns: frozenset[str]) -> list[int] | None:
    """Of each, within a factor of two. None where one is no pattern, or all are too large together."""
    sizes: list[int] = []
    left = _PATTERNS_BYTES
    for pattern in patterns:
        size = _LEAST_PATTERN_BYTES
        while size <= left and _validator(dump_json({"pattern": pattern}).decode(), size) is None:
            size *= 2
        if size > left:
            return None
        left -= size
        sizes.append(size)
    return sizes


def _matching_bytes(size: int) -> int:
    least, most = _MATCHING_BYTES
    return least if size == _LEAST_PATTERN_BYTES else most + _MATCHED * size


def _validator(schema: str, limit: int) -> jsonschema_rs.Validator | None:
    options = jsonschema_rs.RegexOptions(size_limit=limit, dfa_size_limit=limit)
    try:
        return jsonschema_rs.validator_for(schema, mask=_NEVER_QUOTED, pattern_options=options, offline=True)
    except (ValueError, jsonschema_rs.ReferencingError):
        return None


def _kept_bytes(schema: str, found: Compiled | None) -> int:
    return len(schema) * _CHAR_BYTES + (found.size_bytes if found is not None else 0)


def _are_short(patterns: frozenset[str]) -> bool:
    return (
        len(patterns) <= _MOST_PATTERNS
        and sum(map(len, patterns)) <= _MOST_PATTERNS_CHARS
        and sum(len(_SCRIPT.findall(each)) for each in patterns) <= _MOST_SCRIPTS
        and not any(len(each) > _MOST_PATTERN_CHARS or _FLAGS.search(each) for each in patterns)
    )


def _patterns(part: object) -> Iterator[str]:
    """Every one there may be: also of a property that happens to be called so."""
    for each in _objects(part):
        if isinstance(pattern := each.get("pattern"), str):
            yield pattern
        if isinstance(by_pattern := each.get("patternProperties"), dict):
            yield from by_pattern


def _names(part: object) -> Iterator[str]:
    for each in _objects(part):
        if isinstance(properties := each.get("properties"), dict):
            yield from properties


def _objects(part: object) -> Iterator[JsonObject]:
    """Without recursion: a schema may be nested as deep as JSON is read."""
    waiting = [part]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            known = cast("JsonObject", found)
            yield known
            waiting.extend(known.values())
        elif isinstance(found, list):
            waiting.extend(cast("list[object]", found))

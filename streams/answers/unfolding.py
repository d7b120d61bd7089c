"""How much work a schema can ask for: checked against a deep answer, a short one may branch without end.

A part that is applied twice to the same value, and both times leads back to itself, doubles the work with each level of
the answer; parts that refer to parts, twice each, do without one.
"""

from collections.abc import Iterator
from itertools import islice
from typing import cast

from schemas.base import JsonObject

MOST_PARTS = 20_000
"""Of a schema with its references written out, each cycle once. A validator takes up to a kilobyte for each."""
_IN_PLACE = ("not", "if", "then", "else")
_IN_PLACE_LISTS = ("anyOf", "oneOf", "allOf")
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


def unfolds(schema: JsonObject) -> bool:
    """Whether checking an answer against it may take longer than in proportion to both."""
    return parts_of(schema) is None


def parts_of(schema: JsonObject) -> int | None:
    """How many parts are checked, references written out; None where it unfolds."""
    try:
        return _Unfolding(schema).parts()
    except RecursionError:
        return None


class _Unfolding:
    def __init__(self, root: JsonObject) -> None:
        self._root = root
        self._parts: dict[str, int] = {}
        self._open: set[str] = set()
        self._cyclic: set[str] = set()

    def parts(self) -> int | None:
        """Cycles are found while parts are counted; then it is asked who leads into them twice."""
        found = self._count(self._root)
        return None if found > MOST_PARTS or self._branches(self._root) else found

    def _count(self, part: object) -> int:
        if isinstance(part, list):
            return 1 + sum(map(self._count, cast("list[object]", part)))
        if not isinstance(part, dict):
            return 0
        found = 1
        for name, value in cast("JsonObject", part).items():
            found += self._count_of(value) if name in _REFERENCES and isinstance(value, str) else self._count(value)
            if found > MOST_PARTS:
                return found
        return found

    def _count_of(self, reference: str) -> int:
        if reference in self._open:
            self._cyclic.add(reference)
            return 0
        if reference not in self._parts:
            self._open.add(reference)
            self._parts[reference] = self._count(self._at(reference))
            self._open.remove(reference)
        return self._parts[reference]

    def _branches(self, part: object) -> bool:
        if isinstance(part, list):
            return any(self._branches(each) for each in cast("list[object]", part))
        if not isinstance(part, dict):
            return False
        known = cast("JsonObject", part)
        if self._ways_back(known) > 1:
            return True
        return any(self._branches(value) for value in known.values())

    def _ways_back(self, part: JsonObject) -> int:
        """How often one value is checked by what leads into a cycle: all in its place, and once more for its inside."""
        in_place = sum(self._leads_back({name: part[name]}, set()) for name in _REFERENCES if name in part)
        in_place += sum(self._leads_back(part[name], set()) for name in _IN_PLACE if name in part)
        in_place += sum(self._leads_back(each, set()) for name in _IN_PLACE_LISTS for each in _listed(part.get(name)))
        in_place += sum(self._leads_back(each, set()) for each in _values(part.get("dependentSchemas")))
        inside_object = self._any_back(part, "properties", "additionalProperties", "unevaluatedProperties")
        inside_object += sum(self._leads_back(each, set()) for each in _values(part.get("patternProperties")))
        inside_array = self._any_back(part, "items", "prefixItems", "additionalItems", "unevaluatedItems")
        inside_array += self._any_back(part, "contains")
        return in_place + max(inside_object, inside_array)

    def _any_back(self, part: JsonObject, *names: str) -> int:
        return int(any(self._leads_back(part[name], set()) for name in names if name in part))

    def _leads_back(self, part: object, seen: set[str]) -> bool:
        if isinstance(part, list):
            return any(self._leads_back(each, seen) for each in cast("list[object]", part))
        if not isinstance(part, dict):
            return False
        for name, value in cast("JsonObject", part).items():
            if name in _REFERENCES and isinstance(value, str):
                if value in self._cyclic:
                    return True
                if value not in seen:
                    seen.add(value)
                    if self._leads_back(self._at(value), seen):
                        return True
            elif self._leads_back(value, seen):
                return True
        return False

    def _at(self, reference: str) -> object:
        """What it names inside the schema; nothing for what lies outside. A name of its own may stand anywhere, so that
        counts as the whole.
        """
        found: object = self._root if reference.startswith("#") else None
        for step in reference.split("/")[1:]:
            found = _inside(found, step.replace("~1", "/").replace("~0", "~"))
        return found


def _inside(part: object, key: str) -> object:
    if isinstance(part, dict):
        return cast("dict[str, object]", part).get(key)
    if isinstance(part, list) and key.isdecimal():
        return next(islice(cast("list[object]", part), int(key[:9]), None), None)
    return None


def _listed(part: object) -> Iterator[object]:
    return iter(cast("list[object]", part)) if isinstance(part, list) else iter(())


def _values(part: object) -> Iterator[object]:
    return iter(cast("JsonObject", part).values()) if isinstance(part, dict) else iter(())

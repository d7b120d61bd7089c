"""From the location pydantic gives an error to the path its author would recognise, such as `messages.0.role`.

Pydantic's location also names the alternatives it tried (tags, types, wrapped functions). Which of its items are fields
is looked up in the model's own JSON Schema, so new fields and new alternatives need no change here.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from schemas.base import Model

Node = dict[str, Any]

MAX_NAME_CHARS = 40
# a name somebody made up is repeated to them only when it cannot be a key, a sentence or an address
_HARMLESS = re.compile(rf"[A-Za-z_][A-Za-z0-9_]{{0,{MAX_NAME_CHARS - 1}}}")


@dataclass(frozen=True, slots=True)
class Place:
    """`path` is empty for the event as a whole. `choices` are the field names there would have been at its end."""

    path: tuple[str, ...]
    choices: tuple[str, ...] = ()

    @property
    def is_showable(self) -> bool:
        return self.shown == self.path

    @property
    def shown(self) -> tuple[str, ...]:
        """The path up to the first name that must not be repeated."""
        for position, name in enumerate(self.path):
            if not (name.isdecimal() or _HARMLESS.fullmatch(name)):
                return self.path[:position]
        return self.path


class Shape:
    """A model's fields as a tree that locations can be walked in."""

    def __init__(self, model: type[Model]) -> None:
        schema = model.model_json_schema()
        self._definitions = cast("dict[str, Node]", schema.get("$defs", {}))
        self._root = schema

    def place(self, location: Sequence[int | str], *, unknown_field: bool) -> Place:
        """`unknown_field`: the location ends in a name that the model does not have."""
        steps = location[:-1] if unknown_field else location
        path: list[str] = []
        nodes = self._alternatives(self._root)
        for step in steps:
            tagged = self._tagged(nodes, step)
            if tagged is not None:
                nodes = tagged
                continue
            below = [found for node in nodes for found in self._below(node, step)]
            if below:
                nodes = below
                path.append(str(step))
        if unknown_field:
            name = str(location[-1])
            choices = {choice for node in nodes for choice in node.get("properties", {})}
            return Place((*path, name), tuple(sorted(choices)))
        return Place(tuple(path))

    def _resolved(self, node: Node) -> Node:
        reference = node.get("$ref")
        return node if reference is None else self._definitions[reference.rpartition("/")[2]]

    def _alternatives(self, node: Node) -> list[Node]:
        found = self._resolved(node)
        options = cast("list[Node] | None", found.get("anyOf"))
        return [found] if options is None else [each for option in options for each in self._alternatives(option)]

    def _tagged(self, nodes: list[Node], step: int | str) -> list[Node] | None:
        for node in nodes:
            reference = node.get("discriminator", {}).get("mapping", {}).get(step)
            if reference is not None:
                return self._alternatives({"$ref": reference})
        return None

    def _below(self, node: Node, step: int | str) -> list[Node]:
        if isinstance(step, int):
            return self._alternatives(node["items"]) if "items" in node else []
        fields = cast("dict[str, Node]", node.get("properties", {}))
        if step in fields:
            return self._alternatives(fields[step])
        maps = cast("list[Node | bool]", [node.get("additionalProperties", False), *_values(node, "patternProperties")])
        return [each for values in maps if not isinstance(values, bool) for each in self._alternatives(values)]


def _values(node: Node, key: str) -> Iterable[Node]:
    return cast("dict[str, Node]", node.get(key, {})).values()


@lru_cache(maxsize=16)
def shape_of(model: type[Model]) -> Shape:
    return Shape(model)

"""A schema that could keep a worker busy for ever is not checked; those that people write are."""

import time
from typing import Any

import pytest

from schemas.base import dump_json
from streams.answers.schema import UnusableSchema, problems_of
from streams.answers.unfolding import unfolds

AGAIN = {"type": "array", "items": {"$ref": "#/$defs/a"}}
NODE = {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}}
LAUGHS = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(30)} | {"d30": {"type": "string"}}


@pytest.mark.parametrize(
    "schema",
    [
        {"$defs": {"a": {"anyOf": [AGAIN, AGAIN, AGAIN]}}, "$ref": "#/$defs/a"},
        {"$defs": {"a": {"allOf": [AGAIN, AGAIN]}}, "$ref": "#/$defs/a"},
        {"$defs": {"a": {**AGAIN, "contains": {"$ref": "#/$defs/a"}}}, "$ref": "#/$defs/a"},
        {"$defs": {"a": {**AGAIN, "not": {"not": AGAIN}}}, "$ref": "#/$defs/a"},
        {"properties": {"x": {"$ref": "#"}}, "patternProperties": {"x": {"$ref": "#"}}},
        {"anyOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}]},
        {"$defs": LAUGHS, "$ref": "#/$defs/d0"},
    ],
    ids=["any of", "all of", "contains", "not", "two properties", "root", "without a cycle"],
)
def test_a_schema_that_branches_with_each_level_of_an_answer_is_not_checked(schema: dict[str, Any]) -> None:
    deep: Any = 1
    for _ in range(60):
        deep = [deep]

    since_s = time.process_time()
    with pytest.raises(UnusableSchema):
        problems_of(deep, dump_json(schema).decode())
    assert time.process_time() - since_s < 5


@pytest.mark.parametrize(
    "schema",
    [
        {"$defs": {"node": NODE}, "$ref": "#/$defs/node"},
        {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}},
        {"type": "object", "properties": {name: {"$ref": "#/$defs/s"} for name in "abc"}, "$defs": {"s": {}}},
        {"anyOf": [{"$ref": "#/$defs/s"}, {"$ref": "#/$defs/s"}], "$defs": {"s": {"type": "string"}}},
        {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}},
        {},
    ],
    ids=["list", "tree", "parts", "no cycle", "two children", "anything"],
)
def test_what_people_write_is_checked(schema: dict[str, Any]) -> None:
    assert not unfolds(schema)
    assert problems_of({}, dump_json(schema).decode()) == () or "anyOf" in schema


def test_a_schema_nested_beyond_reason_is_not_checked() -> None:
    schema: dict[str, Any] = {}
    for _ in range(5_000):
        schema = {"not": schema}
    assert unfolds(schema)

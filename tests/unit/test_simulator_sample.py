"""Structured output and tool arguments fit the schema they were asked for, whatever it is."""

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.simulator import sample
from scripts.simulator.shapes import Object


def integers(low: int, span: int) -> Object:
    return {"type": "integer", "minimum": low, "maximum": low + span}


def strings(least: int, span: int) -> Object:
    return {"type": "string", "minLength": least, "maxLength": least + span}


def choices(options: list[str]) -> Object:
    return {"enum": options}


def arrays(items: Object, least: int) -> Object:
    return {"type": "array", "items": items, "minItems": least}


def unions(left: Object, right: Object) -> Object:
    return {"anyOf": [left, right]}


def closed_objects(properties: dict[str, Object]) -> Object:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


FIXED: list[Object] = [
    {"type": "boolean"},
    {"type": "null"},
    {"type": ["string", "null"]},
    {"const": 3},
    {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    {"type": "number", "maximum": -3},
    {"type": "string", "format": "email"},
    {"type": "integer", "multipleOf": 5, "minimum": 3},
    {"allOf": [closed_objects({"a": {"type": "string"}})]},
]
LEAVES = st.one_of(
    st.sampled_from(FIXED),
    st.builds(integers, st.integers(-9, 9), st.integers(0, 9)),
    st.builds(strings, st.integers(0, 40), st.integers(0, 9)),
    st.builds(choices, st.lists(st.text(max_size=5), min_size=1, max_size=3)),
)


def nested(inner: st.SearchStrategy[Object]) -> st.SearchStrategy[Object]:
    return st.one_of(
        st.builds(arrays, inner, st.integers(0, 4)),
        st.builds(unions, inner, inner),
        st.builds(closed_objects, st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    )


SCHEMAS = st.recursive(LEAVES, nested, max_leaves=8)


@given(schema=SCHEMAS, number=st.integers(0, 2**64 - 1))
def test_a_value_fits_its_schema_and_is_the_same_every_time(schema: Object, number: int) -> None:
    drawn = sample.value(schema, number)
    assert jsonschema_rs.validator_for(schema).is_valid(drawn)
    assert sample.value(schema, number) == drawn


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"type": "object", "properties": {"again": {"$ref": "#"}}, "required": ["again"]},
        {"type": "array", "minItems": 10**9},
        {"type": "string", "minLength": 10**9},
    ],
)
def test_a_schema_that_nothing_sensible_fits_still_gets_a_value(schema: Object) -> None:
    assert len(str(sample.value(schema, 1))) < 100_000


def test_a_recursive_schema_ends() -> None:
    node: Object = {
        "type": "object",
        "properties": {
            "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
        },
        "required": ["next", "children"],
    }
    schema: Object = {"$ref": "#/$defs/node", "$defs": {"node": node}}
    assert jsonschema_rs.validator_for(schema).is_valid(sample.value(schema, 1))

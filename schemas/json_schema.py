"""JSON Schemas of every kind of event, taken from the models, in the order of the topics that carry them.

What we are sent is described as strictly as we read it. What others read from us may gain fields within a version, so
there the schema does not forbid fields that it does not know.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from schemas.topics import ALERTS, CALLS, RESPONSES, TOPICS, Topic

DIALECT = "https://json-schema.org/draft/2020-12/schema"
WRITTEN_FOR_OTHERS = frozenset(topic.name for topic in (RESPONSES, CALLS, ALERTS))

_WORD_START = re.compile(r"(?<!^)(?=[A-Z])")
_REFERENCE = re.compile(r"#/\$defs/([^\"']+)")


class ContractSchema(GenerateJsonSchema):
    """Without the titles that only repeat a field's name, and open where others read what we wrote."""

    def field_title_should_be_set(self, schema: Any) -> Literal[False]:  # noqa: ARG002  (pydantic's signature)
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        described = super().model_schema(schema)
        if self.mode == "serialization":
            described.pop("additionalProperties", None)
        return described

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        described = super().dict_schema(schema)
        if "patternProperties" in described:  # pydantic leaves keys of any other pattern open; the models do not
            described["additionalProperties"] = False
        return described


def mode_of(topic: Topic) -> JsonSchemaMode:
    return "serialization" if topic.name in WRITTEN_FOR_OTHERS else "validation"


def event_name(title: str) -> str:
    """`CallRow` is published as `call_row`."""
    return _WORD_START.sub("_", title).lower()


@dataclass(frozen=True, slots=True)
class Contract:
    """One kind of event: the adapter that reads it (and its siblings on the topic), and a self-contained schema."""

    adapter: TypeAdapter[Any]
    schema: JsonSchemaValue


def contracts() -> dict[str, Contract]:
    """By event name, in the order of the topics."""
    found: dict[str, Contract] = {}
    for topic in TOPICS:
        if topic.adapter is not None:
            for schema in _events_of(topic.adapter, mode_of(topic)):
                name = event_name(schema["title"])
                version = schema["properties"].get("schema_version", {}).get("const", 1)
                identified = {"$schema": DIALECT, "$id": f"urn:millrace:{name}:{version}", **schema}
                found.setdefault(name, Contract(topic.adapter, identified))
    return found


def _events_of(adapter: TypeAdapter[Any], mode: JsonSchemaMode) -> Iterator[JsonSchemaValue]:
    whole = adapter.json_schema(mode=mode, schema_generator=ContractSchema)
    definitions = cast("dict[str, JsonSchemaValue]", whole.pop("$defs", {}))
    kinds = cast("list[dict[str, str]]", whole.get("oneOf", []))
    events = [definitions[kind["$ref"].rpartition("/")[2]] for kind in kinds] or [whole]
    for event in events:
        needed = _reachable(event, definitions)
        yield {**event, "$defs": {name: definitions[name] for name in sorted(needed)}} if needed else event


def _reachable(schema: JsonSchemaValue, definitions: dict[str, JsonSchemaValue]) -> set[str]:
    needed: set[str] = set()
    open_ends = [schema]
    while open_ends:
        fresh = set(_REFERENCE.findall(str(open_ends.pop()))) - needed
        needed |= fresh
        open_ends += [definitions[name] for name in fresh]
    return needed

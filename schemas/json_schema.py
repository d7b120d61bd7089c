"""JSON Schemas of every kind of event, taken from the models and structs, in the order of the topics that carry them.

What we are sent is described as strictly as we read it. What others read from us may gain fields within a version, so
there the schema does not forbid fields that it does not know.
"""

import re
from dataclasses import dataclass
from inspect import cleandoc
from typing import Any, Literal, cast

import msgspec
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from schemas.base import Event, Model
from schemas.kinds import Kinds
from schemas.prompt import Prompt
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
    """One kind of event: how it (and its siblings on the topic) is read, and a self-contained schema."""

    events: Kinds
    schema: JsonSchemaValue


def contracts() -> dict[str, Contract]:
    """By event name, in the order of the topics."""
    found: dict[str, Contract] = {}
    for topic in TOPICS:
        if topic.events is not None:
            definitions = definitions_of(topic)
            for kind in topic.events.types:
                name, schema = event_name(kind.__name__), definitions[kind.__name__]
                version = schema["properties"].get("schema_version", {}).get("const", 1)
                identified = {"$schema": DIALECT, "$id": f"urn:millrace:{name}:{version}", **schema}
                if needed := _reachable(schema, definitions):
                    identified["$defs"] = {name: definitions[name] for name in sorted(needed)}
                found.setdefault(name, Contract(topic.events, identified))
    return found


def definitions_of(topic: Topic) -> dict[str, JsonSchemaValue]:
    """By title: the kinds of events on the topic, and all that they consist of. References read `#/$defs/<title>`."""
    found: dict[str, JsonSchemaValue] = {}
    for kind in topic.events.types if topic.events else ():
        found |= _of_model(kind, mode_of(topic)) if issubclass(kind, Model) else _of_struct(kind, mode_of(topic))
    return found


def _of_model(kind: type[Model], mode: JsonSchemaMode) -> dict[str, JsonSchemaValue]:
    whole = kind.model_json_schema(mode=mode, schema_generator=ContractSchema)
    return {**whole.pop("$defs", {}), kind.__name__: whole}


def _of_struct(kind: type[Event], mode: JsonSchemaMode) -> dict[str, JsonSchemaValue]:
    _, found = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    definitions = {name: cast("JsonSchemaValue", _in_form(schema, mode)) for name, schema in found.items()}
    for carried in (Prompt,):  # as bytes inside a struct, described by its model
        if any(carried.__name__ in _references(schema) for schema in found.values()):
            definitions |= _of_model(carried, mode)
    return definitions


def _in_form(node: Any, mode: JsonSchemaMode) -> Any:
    """As the models' schemas are: constants named as such, and open where others read what we wrote."""
    if isinstance(node, list | tuple):
        return [_in_form(item, mode) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    described = {key: _in_form(item, mode) for key, item in cast("JsonSchemaValue", node).items()}
    if isinstance(described.get("description"), str):
        described["description"] = cleandoc(described["description"])
    if described.get("required") == []:
        del described["required"]
    match described:
        case {"enum": [only]}:
            described = {"const": only, **{key: item for key, item in described.items() if key != "enum"}}
        case {"additionalProperties": False} if mode == "serialization":
            del described["additionalProperties"]
        case _:
            pass
    return described


def _references(schema: JsonSchemaValue) -> set[str]:
    return set(_REFERENCE.findall(str(schema)))


def _reachable(schema: JsonSchemaValue, definitions: dict[str, JsonSchemaValue]) -> set[str]:
    needed: set[str] = set()
    open_ends = [schema]
    while open_ends:
        fresh = _references(open_ends.pop()) - needed
        needed |= fresh
        open_ends += [definitions[name] for name in fresh]
    return needed

"""The texts inside what is asked and what is called: where people's words are, and not what the protocol says."""

from collections.abc import Callable
from typing import cast

from pydantic import JsonValue

from schemas.base import JsonObject

Change = Callable[[str], str]

_PROTOCOL = frozenset({"role", "type", "url", "detail", "id", "tool_call_id"})
"""Of messages: what is under these is no text. An image is one to nobody but the model."""
_BY_NAME = frozenset(
    {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependentRequired", "dependencies"}
)
"""Of schemas: under these stand names, which are somebody's words as well."""
_VALUES = frozenset({"enum", "const", "default", "examples", "example"})
"""Of schemas: any JSON. Numbers elsewhere bound something, and must stay numbers."""
_TYPES = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})


def in_messages(messages: list[JsonObject], change: Change, arguments: Change) -> list[JsonObject]:
    """`arguments` is for what a tool was called with, which is JSON."""
    return [cast("JsonObject", _message(each, change, arguments)) for each in messages]


def _message(value: JsonValue, change: Change, arguments: Change) -> JsonValue:
    match value:
        case str():
            return change(value)
        case list():
            return [_message(each, change, arguments) for each in value]
        case {"arguments": str(said), **called}:  # the function's name beside them is none of the user's words
            return {**called, "arguments": arguments(said)}
        case dict():
            return {key: each if key in _PROTOCOL else _message(each, change, arguments) for key, each in value.items()}
        case _:
            return value


def in_params(params: JsonObject, change: Change) -> JsonObject:
    """What functions and formats are called by is left alone; a property that happens to be called `name` is not."""
    return {key: _param(key, each, change) for key, each in params.items()}


def _param(key: str, value: JsonValue, change: Change) -> JsonValue:
    match key, value:
        case "tools", list():
            return [_described(each, "function", "parameters", change) for each in value]
        case "response_format", dict():
            return _described(value, "json_schema", "schema", change)
        case "stop", list() | str():
            return _value(value, change)
        case _:
            return value


def _described(value: JsonValue, what: str, schema: str, change: Change) -> JsonValue:
    if not isinstance(value, dict) or not isinstance(described := value.get(what), dict):
        return value
    said: JsonObject = {}
    for key, each in described.items():
        if key == schema:
            said[key] = _schema(each, change)
        else:
            said[key] = change(each) if key == "description" and isinstance(each, str) else each
    return {**value, what: said}


def _schema(value: JsonValue, change: Change) -> JsonValue:
    match value:
        case str():
            return change(value)
        case list():
            return [_schema(each, change) for each in value]
        case dict():
            return {key: _keyword(key, each, change) for key, each in value.items()}
        case _:
            return value


def _keyword(key: str, value: JsonValue, change: Change) -> JsonValue:
    match value:
        case dict() if key in _BY_NAME:
            return {change(name): _schema(each, change) for name, each in value.items()}
        case _ if key in _VALUES:
            return _value(value, change)
        case str() if key == "type" and value in _TYPES:
            return value
        case list() if key == "type" and all(isinstance(each, str) and each in _TYPES for each in value):
            return value
        case _:
            return _schema(value, change)


def _value(value: JsonValue, change: Change) -> JsonValue:
    """Any JSON: a number that is changed becomes a string."""
    match value:
        case bool() | None:
            return value
        case str():
            return change(value)
        case int() | float():
            changed = change(str(value))
            return value if changed == str(value) else changed
        case list():
            return [_value(each, change) for each in value]
        case dict():
            return {change(key): _value(each, change) for key, each in value.items()}

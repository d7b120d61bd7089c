"""The texts inside what is asked and what is called: where people's words are, and not what the protocol says."""

from collections.abc import Callable
from typing import cast

from pydantic import JsonValue

from schemas.base import JsonObject, dump_json, load_json

Change = Callable[[str], str]

_PROTOCOL = frozenset({"role", "type", "url", "detail", "id", "tool_call_id"})
"""Of messages: what is under these is no text. An image is one to nobody but the model."""
_NAMES = frozenset({"name", "type", "$ref", "tool_choice"})
"""Of parameters: what a function or a schema is called by."""


def in_messages(messages: list[JsonObject], change: Change) -> list[JsonObject]:
    return [cast("JsonObject", _message(each, change)) for each in messages]


def _message(value: JsonValue, change: Change) -> JsonValue:
    match value:
        case str():
            return change(value)
        case list():
            return [_message(each, change) for each in value]
        case {"arguments": str(arguments), **called}:  # the function's name beside them is none of the user's words
            return {**called, "arguments": in_json(arguments, change)}
        case dict():
            return {key: each if key in _PROTOCOL else _message(each, change) for key, each in value.items()}
        case _:
            return value


def in_params(value: JsonValue, change: Change) -> JsonValue:
    match value:
        case str():
            return change(value)
        case list():
            return [in_params(each, change) for each in value]
        case dict():
            return {key: each if key in _NAMES else in_params(each, change) for key, each in value.items()}
        case _:
            return value


def in_json(text: str, change: Change) -> str:
    """JSON stays JSON: a number that is changed becomes a string. What is no JSON is text. As it was, where nothing is
    changed.
    """
    if change(text) == text:
        return text
    try:
        value = load_json(text)
    except ValueError:
        return change(text)
    return dump_json(_value(value, change)).decode()


def _value(value: JsonValue, change: Change) -> JsonValue:
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

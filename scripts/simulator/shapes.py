"""Narrowing of parsed JSON: each function returns the value in its type, or None when it has another one."""

from typing import cast

Object = dict[str, object]

_KINDS: dict[type, str] = {
    type(None): "null",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    str: "a string",
    list: "an array",
    dict: "an object",
}


def as_object(value: object) -> Object | None:
    return cast("Object", value) if isinstance(value, dict) else None


def as_array(value: object) -> list[object] | None:
    return cast("list[object]", value) if isinstance(value, list) else None


def as_text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def as_id(value: object) -> str | None:
    """A name or an id, comparable with others whatever was written in its place; None where nothing was."""
    return None if value is None else str(value)


def as_int(value: object) -> int | None:
    """JSON's true and false are not numbers, though Python counts with them."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def as_number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def objects_in(value: object) -> list[Object]:
    """The objects of an array; anything else in it, or no array at all, is left out."""
    return [item for item in map(as_object, as_array(value) or []) if item is not None]


def kind_of(value: object) -> str:
    """The JSON type with its article, as the providers name it in their error messages."""
    return _KINDS[type(value)]

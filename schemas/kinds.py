"""The kinds of events that share a topic, told apart by their `kind`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from schemas.base import Event, Model
from schemas.wire import Decoder, InternalEvent


@dataclass(frozen=True, slots=True)
class Kinds:
    """`decode` raises ValueError: pydantic's for models, DecodeError for structs."""

    types: tuple[type[Event], ...]
    decode: Callable[[bytes], Any]


def models(adapter: TypeAdapter[Any], *types: type[Model]) -> Kinds:
    return Kinds(types, adapter.validate_json)


def structs(*types: type[InternalEvent]) -> Kinds:
    union: Any = None
    for each in types:
        union = each if union is None else union | each
    return Kinds(types, Decoder[Any](union).decode)

"""What people write: models that say which field is wrong and why. And what is common to all events."""

from typing import Annotated, Any, Protocol, Self, TypeVar, runtime_checkable

import orjson
from msgspec import Meta
from pydantic import BaseModel, ConfigDict, Field, JsonValue

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:@/-]*$"
"""Names that end up in keys, metric labels and file names: letters, digits and a little punctuation."""

Name = Annotated[str, Field(min_length=1, max_length=128, pattern=NAME_PATTERN)]
TenantId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
PositiveInt = Annotated[int, Field(ge=1, le=2**64 - 1)]
"""JSON carries no larger one: it could be read, and never be written again."""
_LAST_MS = 253_402_300_799_999  # of the year 9999
_EPOCH_MS = "UTC, milliseconds since 1970"
EpochMs = Annotated[
    int, Field(ge=0, le=_LAST_MS, description=_EPOCH_MS), Meta(ge=0, le=_LAST_MS, description=_EPOCH_MS)
]
"""Said twice, since models and structs are read by two libraries, and neither heeds what is meant for the other."""
JsonObject = dict[str, JsonValue]
T = TypeVar("T")
Several = Annotated[tuple[T, ...], Field(fail_fast=True)]
"""Read up to its first fault: four megabytes of faulty items would take as many gigabytes to be told apart."""


@runtime_checkable
class Event(Protocol):
    """What travels on a topic: a Model where people write it, else a struct (schemas/wire.py)."""

    def encode(self) -> bytes: ...

    @classmethod
    def decode(cls, value: bytes) -> Self:
        """Raises ValueError when the bytes are not this event."""
        ...


class Model(BaseModel):
    """A frozen value written by people. Unknown fields are refused, so a typo is an error and not a default."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True, ser_json_bytes="base64"
    )

    def encode(self) -> bytes:
        """The event as UTF-8 JSON, defaults included, so that a reader without this code sees every field."""
        return self.__pydantic_serializer__.to_json(self, by_alias=True)

    @classmethod
    def decode(cls, value: bytes) -> Self:
        """Raises pydantic's ValidationError when the bytes are not this event."""
        return cls.model_validate_json(value)


def dump_json(value: Any, *, sort_keys: bool = False) -> bytes:
    """Any JSON-shaped value as bytes; with sort_keys the same value always gives the same bytes."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS if sort_keys else None)


def load_json(value: bytes | str) -> JsonValue:
    """Raises ValueError (with position) for anything that is not UTF-8 JSON, or is nested over 1024 levels."""
    return orjson.loads(value)

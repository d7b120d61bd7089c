"""What every event shares: immutability, refusal of unknown fields, and the one place that turns events into bytes."""

from typing import Annotated, Any, Self, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:@/-]*$"
"""Names that end up in keys, metric labels and file names: letters, digits and a little punctuation."""

Name = Annotated[str, Field(min_length=1, max_length=128, pattern=NAME_PATTERN)]
TenantId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
EpochMs = Annotated[int, Field(ge=0, le=253_402_300_799_999, description="UTC, milliseconds since 1970")]
JsonObject = dict[str, JsonValue]
T = TypeVar("T")
Several = Annotated[tuple[T, ...], Field(fail_fast=True)]
"""Read up to its first fault: four megabytes of faulty items would take as many gigabytes to be told apart."""


class Event(BaseModel):
    """A frozen value that travels on a topic. Unknown fields are refused, so a typo is an error and not a default."""

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


class InternalEvent(Event):
    """Written and read by our own stages only. Unknown fields are ignored: during a rolling deploy an older process
    meets events of a newer one.
    """

    model_config = ConfigDict(extra="ignore")


class Origin(Event):
    """Where the outside world put the request: the identity that no redelivery changes."""

    topic: str
    partition: int
    offset: int


def dump_json(value: Any, *, sort_keys: bool = False) -> bytes:
    """Any JSON-shaped value as bytes; with sort_keys the same value always gives the same bytes."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS if sort_keys else None)


def load_json(value: bytes | str) -> JsonValue:
    """Raises ValueError (with position) for anything that is not UTF-8 JSON, or is nested over 1024 levels."""
    return orjson.loads(value)

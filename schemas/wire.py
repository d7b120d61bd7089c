"""What our own stages write: structs, read and written by msgspec at a tenth of what a model costs.

Types and bounds are checked when bytes are read, not when a struct is made: that is pyright's business.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Generic, Self, TypeVar, dataclass_transform

import msgspec

T = TypeVar("T")
_encode = msgspec.json.Encoder().encode
_WHERE = re.compile(r" at `(?:key` in `)?\$[\w.\[\]]*`$")
"""Of what msgspec says only this: the rest quotes what it found."""


class DecodeError(ValueError):
    """The bytes are not this event. Says where, and quotes nothing of what is there."""


class Decoder(Generic[T]):
    """Reads one kind of struct, or a union of tagged ones."""

    def __init__(self, kind: Any) -> None:
        self._decode: Callable[[bytes], T] = msgspec.json.Decoder(kind).decode

    def decode(self, value: bytes) -> T:
        """Raises DecodeError."""
        try:
            return self._decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            where = _WHERE.search(str(error))
            problem = "not readable JSON" if where is None else f"not as it must be{where[0]}"
        raise DecodeError(problem)  # outside, so that no traceback shows msgspec's words


@cache
def _decoder(kind: type[T]) -> Decoder[T]:
    return Decoder(kind)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class _EventType(type(msgspec.Struct)):
    """What msgspec would have each class say anew: frozen, and made by naming the fields."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **config: Any) -> Any:
        common: dict[str, Any] = {"frozen": True, "kw_only": True}
        return super().__new__(mcs, name, bases, namespace, **(common | config))


class InternalEvent(msgspec.Struct, metaclass=_EventType):
    """Written and read by our own stages only. Unknown fields are ignored: during a rolling deploy an older process
    meets events of a newer one.
    """

    def encode(self) -> bytes:
        """The event as UTF-8 JSON, defaults included, so that a reader without this code sees every field."""
        return _encode(self)

    @classmethod
    def decode(cls, value: bytes) -> Self:
        """Raises DecodeError when the bytes are not this event."""
        return _decoder(cls).decode(value)


class PublishedEvent(InternalEvent, forbid_unknown_fields=True):
    """A part of what others read from us. Where we read it back, it has no field that we do not know."""


class Origin(PublishedEvent):
    """Where the outside world put the request: the identity that no redelivery changes."""

    topic: str
    partition: int
    offset: int

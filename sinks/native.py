"""Call rows as one ClickHouse Native block: the body of one insert."""

from collections.abc import Sequence
from typing import Any, Protocol

from clickhouse_connect.datatypes.registry import get_from_name
from clickhouse_connect.driver.insert import InsertContext

from schemas.call import CallRow
from sinks.columns import COLUMNS, by_column

NAMES = tuple(column.name for column in COLUMNS)


class _Encoder(Protocol):
    """The part of a driver's column type that writes."""

    @property
    def insert_name(self) -> str: ...
    def write_column(self, column: Sequence[Any], dest: bytearray, ctx: InsertContext) -> None: ...


_TYPES = tuple(get_from_name(column.type) for column in COLUMNS)
_ENCODERS: tuple[_Encoder, ...] = _TYPES


class Unwritable(Exception):
    """A value among the rows does not fit its column."""


def native_block(rows: Sequence[CallRow]) -> bytes:
    """The rows, at least one, in exactly one block. Equal rows give equal bytes. Raises Unwritable.

    The driver's own insert cuts a batch into several blocks as it sends: a connection that breaks between two of them
    can look like a complete, shorter insert. With one block there is no such place, what is sent again is the same to
    the byte, and a value that does not fit is found before anything is sent.
    """
    context = InsertContext("call_rows", NAMES, _TYPES)
    block = bytearray(_varint(len(COLUMNS)) + _varint(len(rows)))
    for column, encoder, values in zip(COLUMNS, _ENCODERS, by_column(rows), strict=True):
        block += _text(column.name) + _text(encoder.insert_name)
        context.start_column(column.name)
        try:
            encoder.write_column(column.stored(values), block, context)
        except Exception as error:
            # Conversions and encoders raise whatever the value made them stumble over: TypeError, struct.error, …
            raise Unwritable(f"{column.name} holds a value that does not fit {column.type}") from error
    return bytes(block)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return _varint(len(encoded)) + encoded


def _varint(number: int) -> bytes:
    """LEB128: seven bits a byte, the lowest first, the top bit set on all but the last."""
    encoded = bytearray()
    while rest := number >> 7:
        encoded.append(number & 0x7F | 0x80)
        number = rest
    encoded.append(number)
    return bytes(encoded)

"""The Native format as the newer protocol revisions write it, made from the revision 0 the engine writes.

clickhouse-go, and Grafana through it, read nothing older. Per block they expect a block header first, and in every
column a byte after its type that says whether its serialization is special (here it never is).
"""

import struct
from typing import assert_never

from sinks.embedded.errors import ClickHouseError
from sinks.embedded.native_types import (
    ArrayOf,
    Fixed,
    LowCardinalityOf,
    NullableOf,
    Shape,
    Strings,
    TupleOf,
    UnknownTypeError,
    read_shape,
)

# Revisions below this one differ by the block header alone. The driver that asks for one, clickhouse-connect, first
# tries what it is given and takes revision 0, which costs nothing, just as well.
REVISION_WITH_SERIALIZATION_KINDS = 54_454

_BLOCK_HEADER = bytes((1, 0, 2, 0xFF, 0xFF, 0xFF, 0xFF, 0))
_ORDINARY_SERIALIZATION = b"\x00"
_UINT64 = struct.Struct("<Q")
_INDEX_WIDTH = 0b111
_LONG = 0x80


def upgrade_native(data: bytes) -> bytes:
    """Walks over every string, at several million a second; what has a fixed size costs nothing.

    Raises ClickHouseError for a type whose end cannot be found, such as an aggregate function state.
    """
    upgraded = bytearray()
    at = 0
    try:
        while at < len(data):
            start = at
            columns, at = _number(data, at)
            rows, at = _number(data, at)
            upgraded += _BLOCK_HEADER
            upgraded += data[start:at]
            for _ in range(columns):
                start = at
                at = _after_string(data, at)
                name_end = at
                at = _after_string(data, at)
                upgraded += data[start:at]
                upgraded += _ORDINARY_SERIALIZATION
                start = at
                if rows:
                    length, text_at = _number(data, name_end)
                    shape = read_shape(data[text_at : text_at + length].decode(errors="replace"))
                    at = _after_values(shape, data, at + _prefix_bytes(shape), rows)
                upgraded += data[start:at]
    except UnknownTypeError as error:
        raise ClickHouseError(
            48, "NOT_IMPLEMENTED", f"Values of type {error} cannot be sent to this client: cast them to String."
        ) from None
    except (struct.error, IndexError, OverflowError):
        raise ClickHouseError(33, "CANNOT_READ_ALL_DATA", "The result ends within a block.") from None
    return bytes(upgraded)


def _prefix_bytes(shape: Shape) -> int:
    """What stands before the values of a column: the version of every dictionary in it."""
    match shape:
        case Fixed() | Strings():
            return 0
        case NullableOf(inner) | ArrayOf(inner):
            return _prefix_bytes(inner)
        case TupleOf(elements):
            return sum(map(_prefix_bytes, elements))
        case LowCardinalityOf():
            return _UINT64.size
        case _:
            assert_never(shape)


def _after_values(shape: Shape, data: bytes, at: int, rows: int) -> int:
    match shape:
        case Fixed(size):
            return at + rows * size
        case Strings():
            for _ in range(rows):
                at = _after_string(data, at)
            return at
        case NullableOf(inner):
            return _after_values(inner, data, at + rows, rows)
        case ArrayOf(inner):
            total = _uint64(data, at + (rows - 1) * _UINT64.size) if rows else 0
            return _after_values(inner, data, at + rows * _UINT64.size, total)
        case TupleOf(elements):
            for element in elements:
                at = _after_values(element, data, at, rows)
            return at
        case LowCardinalityOf(keys):
            return _after_dictionary(keys, data, at) if rows else at
        case _:
            assert_never(shape)


def _after_dictionary(keys: Shape, data: bytes, at: int) -> int:
    """One word that tells the width of an index, the keys, and an index into them for every row."""
    width = 1 << (_uint64(data, at) & _INDEX_WIDTH)
    at = _after_values(keys, data, at + 2 * _UINT64.size, _uint64(data, at + _UINT64.size))
    return at + _UINT64.size + _uint64(data, at) * width


def _after_string(data: bytes, at: int) -> int:
    length = data[at]
    if length < _LONG:
        return at + 1 + length
    length, at = _number(data, at)
    return at + length


def _number(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & ~_LONG) << shift
        if byte < _LONG:
            return value, at
        shift += 7


def _uint64(data: bytes, at: int) -> int:
    return _UINT64.unpack_from(data, at)[0]

"""ClickHouse's compressed blocks, which `compress=1` asks for and `decompress=1` announces (clickhouse-go sends both).

A block is a 16-byte checksum of all that follows it, one byte of method, the sizes with and without compression, data.
"""

from enum import IntEnum
from struct import Struct
from typing import assert_never

import cramjam

from sinks.embedded.cityhash import city_hash_128
from sinks.embedded.coding import body_too_large
from sinks.embedded.errors import ClickHouseError

_CHECKSUM_BYTES = 16
_HEADER = Struct("<BII")
_BLOCK_BYTES = 1 << 20


class Method(IntEnum):
    """The byte that names how a block is compressed."""

    NONE = 0x02
    LZ4 = 0x82
    ZSTD = 0x90


def read_method(setting: str) -> Method:
    """The method `network_compression_method` asks for; LZ4, as on a server, when it says nothing known."""
    return {"NONE": Method.NONE, "ZSTD": Method.ZSTD}.get(setting.upper(), Method.LZ4)


def pack_blocks(data: bytes | memoryview, method: Method) -> bytes:
    packed = bytearray()
    for start in range(0, len(data), _BLOCK_BYTES):
        plain = data[start : start + _BLOCK_BYTES]
        squeezed = _squeeze(plain, method)
        block = _HEADER.pack(method, _HEADER.size + len(squeezed), len(plain)) + squeezed
        packed += city_hash_128(block)
        packed += block
    return bytes(packed)


def unpack_blocks(data: bytes, limit: int) -> bytes:
    """Raises ClickHouseError when a block is cut or damaged, or when all of them hold more than `limit` bytes."""
    view = memoryview(data)
    plain = bytearray()
    while view:
        if len(view) < _CHECKSUM_BYTES + _HEADER.size:
            raise _cut()
        method, size, plain_size = _HEADER.unpack_from(view, _CHECKSUM_BYTES)
        end = _CHECKSUM_BYTES + size
        if size < _HEADER.size or len(view) < end:
            raise _cut()
        if len(plain) + plain_size > limit:
            raise body_too_large(limit)
        if city_hash_128(view[_CHECKSUM_BYTES:end]) != bytes(view[:_CHECKSUM_BYTES]):
            raise ClickHouseError(
                40, "CHECKSUM_DOESNT_MATCH", "The checksum of a compressed block does not match: it was damaged."
            )
        plain += _restore(view[_CHECKSUM_BYTES + _HEADER.size : end], method, plain_size)
        view = view[end:]
    return bytes(plain)


def _squeeze(plain: bytes | memoryview, method: Method) -> bytes:
    match method:
        case Method.NONE:
            return bytes(plain)
        case Method.LZ4:
            return bytes(cramjam.lz4.compress_block(bytes(plain), store_size=False))
        case Method.ZSTD:
            return bytes(cramjam.zstd.compress(plain))
        case _:
            assert_never(method)


def _restore(squeezed: memoryview, method: int, plain_size: int) -> bytes:
    room = bytearray(plain_size)
    try:
        match method:
            case Method.NONE:
                return bytes(squeezed)
            case Method.LZ4:
                length = cramjam.lz4.decompress_block_into(bytes(squeezed), room, output_len=plain_size)
            case Method.ZSTD:
                length = cramjam.zstd.decompress_into(bytes(squeezed), room)
            case _:
                raise ClickHouseError(
                    89, "UNKNOWN_COMPRESSION_METHOD", f"Blocks compressed with method 0x{method:02x} are not read here."
                )
    except cramjam.DecompressionError as error:
        raise ClickHouseError(271, "CANNOT_DECOMPRESS", f"A compressed block cannot be read: {error}.") from None
    if length != plain_size:
        raise _cut()
    return bytes(room)


def _cut() -> ClickHouseError:
    return ClickHouseError(33, "CANNOT_READ_ALL_DATA", "The request body ends within a compressed block.")

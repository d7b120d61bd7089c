"""HTTP content codings of bodies, in both directions. What is decoded is bounded before it is allocated."""

import mmap
from enum import StrEnum
from typing import assert_never

import cramjam

from sinks.embedded.errors import ClickHouseError

_OVERFLOW = "failed to write whole buffer"
_GZIP_LEVEL = 3
_BROTLI_LEVEL = 1


class Coding(StrEnum):
    """The codings offered, the one preferred first, as they are written in headers."""

    LZ4 = "lz4"
    ZSTD = "zstd"
    GZIP = "gzip"
    DEFLATE = "deflate"
    BROTLI = "br"


def read_content_encoding(header: str) -> Coding | None:
    """None means the body is sent as it is. Raises ClickHouseError for a coding that is not offered."""
    name = header.strip().lower()
    if name in ("", "identity"):
        return None
    try:
        return Coding(name)
    except ValueError:
        known = ", ".join(Coding)
        raise ClickHouseError(
            89, "UNKNOWN_COMPRESSION_METHOD", f"Content-Encoding {name!r} is not known here. Use one of: {known}."
        ) from None


def choose_coding(accept_encoding: str) -> Coding | None:
    """The first coding offered that the client accepts, or None."""
    accepted = {
        name.strip().lower()
        for name, _, weight in (part.partition(";") for part in accept_encoding.split(","))
        if weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    }
    return next((coding for coding in Coding if coding in accepted), None)


def decode(coding: Coding, data: bytes, limit: int) -> bytes:
    """Raises ClickHouseError when the data are damaged, cut, or longer than `limit` bytes once decoded."""
    # Mapped pages cost nothing until they are written, so the whole limit may be reserved.
    with mmap.mmap(-1, limit) as room:
        try:
            length = _decode_into(coding, data, room)
        except cramjam.DecompressionError as error:
            if _OVERFLOW in str(error):
                raise body_too_large(limit) from None
            raise ClickHouseError(
                271, "CANNOT_DECOMPRESS", f"The request body is not valid {coding}: {error}."
            ) from None
        return room[:length]


def encode(coding: Coding, data: bytes | memoryview) -> bytes:
    match coding:
        case Coding.LZ4:
            return bytes(cramjam.lz4.compress(data))
        case Coding.ZSTD:
            return bytes(cramjam.zstd.compress(data))
        case Coding.GZIP:
            return bytes(cramjam.gzip.compress(data, _GZIP_LEVEL))
        case Coding.DEFLATE:
            return bytes(cramjam.zlib.compress(data, _GZIP_LEVEL))
        case Coding.BROTLI:
            return bytes(cramjam.brotli.compress(data, _BROTLI_LEVEL))
        case _:
            assert_never(coding)


def body_too_large(limit: int) -> ClickHouseError:
    return ClickHouseError(
        66,
        "QUERY_IS_TOO_LARGE",
        f"The request body is longer than {limit} bytes. Send the rows in several requests.",
    )


def _decode_into(coding: Coding, data: bytes, room: mmap.mmap) -> int:
    match coding:
        case Coding.LZ4:
            return cramjam.lz4.decompress_into(data, room)
        case Coding.ZSTD:
            return cramjam.zstd.decompress_into(data, room)
        case Coding.GZIP:
            return cramjam.gzip.decompress_into(data, room)
        case Coding.DEFLATE:
            return cramjam.zlib.decompress_into(data, room)
        case Coding.BROTLI:
            return cramjam.brotli.decompress_into(data, room)
        case _:
            assert_never(coding)

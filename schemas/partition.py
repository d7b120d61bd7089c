"""Which partition a key belongs to: Kafka's default partitioner, so that every client of ours agrees with Java's.

Written out here because the library's own costs each stage the import of a whole client it does not use.
"""

import struct
from functools import lru_cache

_SEED = 0x9747B28C
_FACTOR = 0x5BD1E995
_WORD = 0xFFFFFFFF
_POSITIVE = 0x7FFFFFFF
_REMEMBERED_KEYS = 65_536


def murmur2(data: bytes) -> int:
    """The 32-bit MurmurHash2 of Kafka's clients, as an unsigned number (Java shows the same bits signed)."""
    words = len(data) // 4
    whole = words * 4
    value = _SEED ^ len(data)
    for piece in struct.unpack_from(f"<{words}I", data):
        word = piece * _FACTOR & _WORD
        value = (value * _FACTOR ^ (word ^ word >> 24) * _FACTOR) & _WORD
    if whole != len(data):
        value = (value ^ int.from_bytes(data[whole:], "little")) * _FACTOR & _WORD
    value = (value ^ value >> 13) * _FACTOR & _WORD
    return value ^ value >> 15


@lru_cache(maxsize=_REMEMBERED_KEYS)
def partition_for(key: bytes, partitions: int) -> int:
    """0 … partitions - 1; the same for the same arguments in every process. Tenants repeat, so answers are kept.

    Raises ValueError when there is no partition to choose from.
    """
    if partitions < 1:
        raise ValueError(f"a topic has at least 1 partition, not {partitions}")
    return (murmur2(key) & _POSITIVE) % partitions

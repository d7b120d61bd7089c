"""Which attempts have been taken in, and how far: nine bytes each, for as long as rows are expected to come twice.

The table has one record for each batch of rows. What is looked up is in memory; the table is there to rebuild it.
"""

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from struct import Struct

_DIGEST_BYTES = 8
_ENTRY_BYTES = _DIGEST_BYTES + 1
_ROOM_BITS = 0x0F_FF
"""A slot has 4 096 rooms: with a million attempts in it, a search goes through two kilobytes."""
_SLOTS = 4
"""The memory is given up by the slot: each attempt is remembered for as long as was asked, and a quarter more."""
_TIME = Struct(">Q")
_BATCH_KEY = "#"
"""How the key of a batch begins. Keys without it are ids of attempts, one each, as an older version writes them."""

Reached = Mapping[bytes, int]
"""Digests of attempts, and the highest PHASE_VERSION taken in."""


def digest_of(attempt_id: str) -> bytes:
    """Among four million attempts, one in five thousand million new ones is taken for one of them."""
    return blake2b(attempt_id.encode(), digest_size=_DIGEST_BYTES).digest()


def batch_key(first_offset: int, last_offset: int) -> str:
    return f"{_BATCH_KEY}{first_offset}-{last_offset}"


def batch_record(reached: Reached, at_ms: int) -> bytes:
    return _TIME.pack(at_ms) + b"".join(digest + bytes((phase,)) for digest, phase in reached.items())


def read_record(key: str, value: bytes, now_ms: int) -> tuple[Iterator[tuple[bytes, int]], int]:
    """The attempts in one record of the table, and when they were taken in; `now_ms` where that is not known.

    Raises ValueError for what is no such record.
    """
    if not key.startswith(_BATCH_KEY):
        return iter([(digest_of(key), int(value))]), now_ms
    if len(value) % _ENTRY_BYTES != _TIME.size:
        raise ValueError(f"a batch of attempts has {len(value)} bytes")
    return _entries(value[_TIME.size :]), int(_TIME.unpack_from(value)[0])


def _entries(entries: bytes) -> Iterator[tuple[bytes, int]]:
    for start in range(0, len(entries), _ENTRY_BYTES):
        yield entries[start : start + _DIGEST_BYTES], entries[start + _DIGEST_BYTES]


class AttemptMemory:
    """Rooms of digests by the time they came: a dictionary of them would take ten times the memory."""

    def __init__(self, keep_ms: int) -> None:
        self._slot_ms = keep_ms // _SLOTS
        self._slots: dict[int, dict[int, bytearray]] = {}

    def phase(self, digest: bytes) -> int:
        """The highest PHASE_VERSION taken in; 0 for none."""
        number, highest = _room(digest), 0
        for rooms in self._slots.values():
            room = rooms.get(number)
            if room is not None and digest in room:
                highest = max(highest, _phase_in(room, digest))
        return highest

    def reach(self, digest: bytes, phase: int, at_ms: int) -> None:
        """A phase never goes back: a lower one that is added changes nothing."""
        rooms = self._slots.setdefault(at_ms // self._slot_ms, {})
        rooms.setdefault(_room(digest), bytearray()).extend(digest + bytes((phase,)))

    def expire(self, now_ms: int) -> None:
        oldest = now_ms // self._slot_ms - _SLOTS
        for slot in [slot for slot in self._slots if slot < oldest]:
            del self._slots[slot]


def _room(digest: bytes) -> int:
    return (digest[0] << 8 | digest[1]) & _ROOM_BITS


def _phase_in(room: bytearray, digest: bytes) -> int:
    highest, found = 0, room.find(digest)
    while found >= 0:
        if found % _ENTRY_BYTES == 0:
            highest = max(highest, room[found + _DIGEST_BYTES])
        found = room.find(digest, found + 1)
    return highest

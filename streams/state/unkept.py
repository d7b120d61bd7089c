"""Answers that are not kept, for those who asked before they came: one call serves all who waited for it."""

from collections import OrderedDict

from msgspec import Struct

from schemas.cached import FlightEnded, Invalidated
from streams.state.taken_back import TakenBack

ROOM_BYTES = 8 * 1024 * 1024
"""For the largest answer that a topic takes, and many of the usual size."""
KNOWN_FOR_MS = 1_200_000
"""Who waits looks as soon as it is woken. So long is for what a worker that is replaced has given and not committed:
one that it holds back for a quarter of an hour stands before it."""


class _Unkept(Struct, frozen=True):
    encoded: bytes
    ended_at_ms: int
    learned_ms: int


class Unkept:
    """By entry, the newest. The oldest make room."""

    def __init__(self, room_bytes: int = ROOM_BYTES) -> None:
        self._room_bytes = room_bytes
        self._bytes = 0
        self._by_entry: OrderedDict[str, _Unkept] = OrderedDict()

    def add(self, event: FlightEnded, now_ms: int) -> None:
        self._forget(now_ms)
        if event.given is None or event.ended_at_ms + KNOWN_FOR_MS <= now_ms:
            return
        self._drop(event.entry)
        known = self._by_entry[event.entry] = _Unkept(event.encode(), event.ended_at_ms, now_ms)
        self._bytes += len(known.encoded)
        while self._bytes > self._room_bytes:
            self._drop(next(iter(self._by_entry)))

    def for_who_asked(self, entry: str, asked_ms: int, parked_ms: int | None) -> FlightEnded | None:
        """Who was held back here when it came has waited for it, whatever the clock of its writer says."""
        found = self._by_entry.get(entry)
        if found is None:
            return None
        has_waited = parked_ms is not None and found.learned_ms >= parked_ms
        return FlightEnded.decode(found.encoded) if has_waited or asked_ms < found.ended_at_ms else None

    def take_back(self, event: Invalidated, taken_back: TakenBack) -> None:
        for entry in [each for each in self._by_entry if each.startswith(f"{event.tenant_id}/")]:
            given = FlightEnded.decode(self._by_entry[entry].encoded).given
            if given is not None and taken_back.covers(given):
                self._drop(entry)

    def _forget(self, now_ms: int) -> None:
        while self._by_entry:
            entry, oldest = next(iter(self._by_entry.items()))
            if oldest.learned_ms + KNOWN_FOR_MS > now_ms:
                return
            self._drop(entry)

    def _drop(self, entry: str) -> None:
        gone = self._by_entry.pop(entry, None)
        self._bytes -= 0 if gone is None else len(gone.encoded)

"""What the cache stage knows of one partition: answers that may be given again, and questions in flight."""

from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from hashlib import blake2b

from msgspec import Struct
from msgspec.structs import replace

from schemas.base import Event
from schemas.cached import Fill, FlightEnded, FlightStarted, Invalidated
from schemas.flow import Meaning
from schemas.response import Failure
from streams.semantic.embedder import Embedder
from streams.semantic.likeness import VECTOR_ROOM_BYTES, Likeness, Nearest
from streams.state.taken_back import TakenBack, may_concern
from streams.state.unkept import Unkept

MAX_BYTES = 64 * 1024 * 1024
"""Of answers, per partition; those that were not used for the longest make room."""
DELIVERED_AGAIN_MS = 3_600_000
"""So long after it has expired an answer is still known, if there is room."""
_ENTRY_BYTES = 900  # what an entry takes besides its answer, with the end of its request, about
MOST_ENDED = 50_000
"""Requests remembered as ended, per partition, at some 250 bytes: more than lie between a commit and a crash."""
USED_AGAIN_MS = 3_600_000
"""Whatever clocks differ by, and far less than `limit` remembers an id for: what is asked so long after the end is a
new request under an old id.
"""


LARGEST_STALE_BYTES = 256 * 1024
"""A larger one does not travel beside each prompt that it might stand in for."""


class _Kept(Struct, frozen=True):
    """As objects an answer takes three to four times the room, and most are not asked for again."""

    encoded: bytes
    expires_at_ms: int
    placed_at: int
    is_compared: bool

    @property
    def size(self) -> int:
        return len(self.encoded) + _ENTRY_BYTES + (VECTOR_ROOM_BYTES if self.is_compared else 0)


class Landed(Struct, frozen=True):
    """A question in flight ended without an answer to keep."""

    record: FlightEnded
    at_ms: int


class Ended(Struct, frozen=True):
    """A request that asked, or waited for who did, has come to its end."""

    at_ms: int
    encoded_failure: bytes | None

    @property
    def failure(self) -> Failure | None:
        """What it was told, where that was a failure."""
        return None if self.encoded_failure is None else Failure.decode(self.encoded_failure)


class KeptAnswers:
    """Answers in the order in which they make room. One that is used and comes near its turn is written to the table
    once more, and is among the last again: so the order is in the table, and a successor has the same. What is used
    stays, if it takes no more than half of the room, whatever else comes.
    """

    def __init__(
        self, max_bytes: int = MAX_BYTES, most_ended: int = MOST_ENDED, *, embedder: Embedder | None = None
    ) -> None:
        self.embedder = embedder
        self._max_bytes = max_bytes
        self._most_ended = most_ended
        self._bytes = 0
        self._arrived_bytes = 0  # of all answers ever stored, not counting those written again
        self._fills: OrderedDict[str, _Kept] = OrderedDict()
        self._flights: OrderedDict[str, FlightStarted] = OrderedDict()
        self._landed: OrderedDict[str, Landed] = OrderedDict()
        self._ended: dict[bytes, Ended] = {}
        self._oldest_ended: deque[bytes] = deque()
        self._unkept = Unkept()
        self._taken_back = TakenBack()
        self._likeness = Likeness()

    def __len__(self) -> int:
        return len(self._fills) + len(self._flights) + len(self._landed) + len(self._ended)

    def fill(self, entry: str, asked_ms: int) -> Fill | None:
        """An answer that had not expired when it was asked for: whoever was given it, and is delivered again after a
        crash, is given it again and not paid for.
        """
        found = self._fills.get(entry)
        return Fill.decode(found.encoded) if found is not None and found.expires_at_ms > asked_ms else None

    def nearest(self, meaning: Meaning, threshold: float, asked_ms: int) -> Nearest | None:
        """The most similar question whose answer had not expired when this one was asked."""
        return self._likeness.nearest(meaning, threshold, lambda entry: self._fills[entry].expires_at_ms > asked_ms)

    def fills(self) -> Iterator[Fill]:
        """All that is kept, expired ones too, in the order in which they make room."""
        return (Fill.decode(kept.encoded) for kept in self._fills.values())

    def flights(self, now_ms: int) -> Iterator[FlightStarted]:
        """What is being asked."""
        return (flight for flight in self._flights.values() if flight.gives_up_at_ms > now_ms)

    def fades(self, fill: Fill, now_ms: int) -> bool:
        """Whether it is good for a while yet, but so much has come since it was placed that its turn is near."""
        kept = self._fills.get(fill.entry)
        if kept is None or kept.expires_at_ms <= now_ms:
            return False
        return self._arrived_bytes - kept.placed_at > self._max_bytes // 2

    def last(self, entry: str, asked_ms: int, stale_ms: int) -> Fill | None:
        """The newest answer there was, if it had not expired longer than that before it was asked for."""
        found = self._fills.get(entry)
        if found is None or len(found.encoded) > LARGEST_STALE_BYTES or found.expires_at_ms + stale_ms <= asked_ms:
            return None
        return Fill.decode(found.encoded)

    def flight(self, entry: str, now_ms: int) -> FlightStarted | None:
        found = self._flights.get(entry)
        return found if found is not None and found.gives_up_at_ms > now_ms else None

    def given(self, entry: str, asked_ms: int, parked_ms: int | None) -> FlightEnded | None:
        """The end of a question that was asked for this one too, with an answer that is kept for nobody else."""
        return self._unkept.for_who_asked(entry, asked_ms, parked_ms)

    def landed_since(self, entry: str, since_ms: int) -> FlightEnded | None:
        found = self._landed.get(entry)
        return found.record if found is not None and found.at_ms >= since_ms else None

    def ended(self, entry: str, identity: str, asked_ms: int) -> Ended | None:
        """Whether this request, as it was asked at that time, has been here before and come to its end."""
        ended = self._ended.get(_digest(entry, identity))
        return ended if ended is not None and ended.at_ms + USED_AGAIN_MS >= asked_ms else None

    def apply(self, event: Event, now_ms: int) -> Sequence[str]:
        match event:
            case Fill(again=True):
                self._keep_on(event, now_ms)
                return ()
            case Invalidated():
                self._take_back(event, now_ms)
                return ()
            case Fill():
                self._end(event.entry, f"{_tenant_of(event.namespace)}/{event.saved.request_id}", event.stored_at_ms)
                self._flights.pop(event.entry, None)
                self._landed.pop(event.entry, None)
                self._keep(event, now_ms)
            case FlightStarted():
                self._take_off(event, now_ms)
                return ()
            case FlightEnded():
                self._end(event.entry, event.identity, event.ended_at_ms, event.failure)
                self._hand_out(event, now_ms)
                flight = self.flight(event.entry, now_ms)  # one that is given up may be forgotten already, or not
                if flight is not None and flight.identity != event.identity:
                    return () if event.given is None else (event.entry,)
                self._landed[event.entry] = Landed(replace(event, given=None), now_ms)
                self._forget_landed(now_ms)
                self._flights.pop(event.entry, None)  # forgotten, perhaps, while it was waited for
            case _:
                raise TypeError(f"the cache cannot hold {type(event).__name__}")
        return (event.entry,)

    def _end(self, entry: str, identity: str, at_ms: int, failure: Failure | None = None) -> None:
        digest = _digest(entry, identity)
        if digest not in self._ended:
            self._oldest_ended.append(digest)
        self._ended[digest] = Ended(at_ms, None if failure is None else failure.encode())
        if len(self._ended) > self._most_ended:
            del self._ended[self._oldest_ended.popleft()]

    def _hand_out(self, event: FlightEnded, now_ms: int) -> None:
        if event.given is not None and not self._taken_back.covers(event.given):
            self._unkept.add(event, now_ms)

    def _take_off(self, event: FlightStarted, now_ms: int) -> None:
        """Start and end have different writers, so the end can be read first: what has landed is not in the air. And
        whoever wrote a start knows of it before it is read back: an older one does not take its place.
        """
        landed, flying = self._landed.get(event.entry), self._flights.get(event.entry)
        if landed is not None and landed.record.identity == event.identity:
            return
        if self.ended(event.entry, event.identity, event.started_at_ms) is not None:
            return
        if flying is not None and flying.started_at_ms > event.started_at_ms:
            return
        self._flights.pop(event.entry, None)
        self._flights[event.entry] = event
        self._landed.pop(event.entry, None)
        self._forget_flights(now_ms)

    def _keep(self, event: Fill, now_ms: int) -> None:
        self._drop(event.entry)
        if event.expires_at_ms + DELIVERED_AGAIN_MS <= now_ms or self._taken_back.covers(event):
            return
        meaning = event.meaning if is_compared(event) else None
        kept = _Kept(event.encode(), event.expires_at_ms, self._arrived_bytes, meaning is not None)
        self._fills[event.entry] = kept
        self._bytes += kept.size
        self._arrived_bytes += 0 if event.again else kept.size
        if meaning is not None:
            self._likeness.add(event.entry, meaning)
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._fills)))

    def _keep_on(self, event: Fill, now_ms: int) -> None:
        """Its writer may not have known yet that there is a newer one."""
        there = self._fills.get(event.entry)
        if there is None or Fill.decode(there.encoded).stored_at_ms <= event.stored_at_ms:
            self._keep(event, now_ms)

    def _take_back(self, event: Invalidated, now_ms: int) -> None:
        """A tenth of a second where a tenant has tens of thousands, when an operator says so."""
        self._taken_back.add(event, now_ms)
        concerned = [(entry, kept.encoded) for entry, kept in self._fills.items() if may_concern(event, entry)]
        for entry, encoded in concerned:
            if self._taken_back.covers(Fill.decode(encoded)):
                self._drop(entry)
        self._unkept.take_back(event, self._taken_back)

    def _drop(self, entry: str) -> None:
        gone = self._fills.pop(entry, None)
        if gone is not None:
            self._bytes -= gone.size
            if gone.is_compared:
                self._likeness.drop(entry)

    def _forget_flights(self, now_ms: int) -> None:
        """Some never land: those whose request ended at a stage that failed."""
        while self._flights:
            entry, oldest = next(iter(self._flights.items()))
            if oldest.gives_up_at_ms > now_ms:
                return
            del self._flights[entry]

    def _forget_landed(self, now_ms: int) -> None:
        """Only those who waited need it, and they look at once."""
        while self._landed:
            entry, oldest = next(iter(self._landed.items()))
            if oldest.at_ms > now_ms - 60_000:
                return
            del self._landed[entry]


def is_compared(fill: Fill) -> bool:
    """Not what calls a tool, whose arguments are taken from the question's very words, nor what was cut at a length."""
    return fill.meaning is not None and fill.answer.finish_reason == "stop" and not fill.answer.output.tool_calls


def _digest(entry: str, identity: str) -> bytes:
    """120 bits: however long an id is, it takes the same room, and no two meet by chance."""
    return blake2b(f"{entry}\0{identity}".encode(), digest_size=15).digest()


def _tenant_of(namespace: str) -> str:
    return namespace.partition("/")[0]

"""What `limit` knows of the tenants of one partition: their meters, their spending, and the request ids they used."""

from collections import OrderedDict, deque
from collections.abc import Sequence
from hashlib import blake2b

from schemas.account import Account, Meter, Meters, Registration
from schemas.base import Event
from streams.state.registered import DIGEST_BYTES, Registered, registered
from streams.state.spending import Spending
from streams.state.waiting import Crowd, Waiting

REMEMBERED_MS = 24 * 3_600_000
"""A request id repeated within a day is recognised; its changelog is kept for two."""
OPEN_MS = 47 * 3_600_000
"""So long one is remembered whose cost is not counted yet, or that waits: nearly as long as the changelog has it."""


NO_METERS = Meters()
_Whose = tuple[str, str | None] | tuple[str, None, str]
"""A tenant, one of its users, or one of the models it asks."""


class Accounts:
    """Ids lie under digests, so that however long a producer makes them, each takes the same room."""

    def __init__(self) -> None:
        self.spending = Spending()
        self.waiting = Waiting()
        self._meters: OrderedDict[_Whose, Meters] = OrderedDict()
        self._registered: dict[bytes, Registered] = {}
        self._oldest: deque[bytes] = deque()  # an OrderedDict would take 100 bytes more for each id
        self._open: deque[bytes] = deque()  # of the last but one day: those whose cost is not counted yet, or that wait
        self._newest_ms = 0

    def __len__(self) -> int:
        return len(self._meters) + len(self._registered) + len(self.spending) + len(self.waiting)

    def meters(self, tenant_id: str, user_id: str | None) -> Meters | None:
        """Of the tenant as a whole where no user is named; None when they have never moved, or rest."""
        return self._meters.get((tenant_id, user_id))

    def model_meters(self, tenant_id: str, model: str) -> Meters | None:
        return self._meters.get((tenant_id, None, model))

    def is_first(self, crowd: Crowd, tenant_id: str, request_id: str) -> bool:
        """Whether nobody of its line waits before it."""
        return crowd.is_first(_key(tenant_id, request_id))

    def registered(self, tenant_id: str, request_id: str) -> Registered | None:
        return self._registered.get(_key(tenant_id, request_id))

    def apply(self, event: Event, now_ms: int) -> Sequence[str]:
        match event:
            case Meter():
                known = self.meters(event.tenant_id, event.user_id) or NO_METERS
                self._move((event.tenant_id, event.user_id), known.moved(event.unit, event.arrival_us))
            case Registration():
                if event.tenant_meters is not None:
                    self._move((event.tenant_id, None), event.tenant_meters)
                if event.user_meters is not None:
                    self._move((event.tenant_id, event.user_id), event.user_meters)
                if event.model_meters is not None and event.model is not None:
                    self._move((event.tenant_id, None, event.model), event.model_meters)
                key = _key(event.tenant_id, event.request_id)
                if key not in self._registered:
                    self._oldest.append(key)
                known = self._registered[key] = registered(event)
                self.spending.hold(key, known, self._newest_ms)
                self._newest_ms = max(self._newest_ms, min(event.seen_at_ms, now_ms))
                woken = self.waiting.take_in(key, event)
                self._forget(self._newest_ms - REMEMBERED_MS)
                return woken
            case Account():
                self.spending.take_in(event)
            case _:
                raise TypeError(f"accounts cannot hold {type(event).__name__}")
        return ()

    def _move(self, whose: _Whose, meters: Meters) -> None:
        crowd = self.waiting.of(whose[0])
        if crowd is not None and self._meters.get(whose) != meters:
            crowd.moved(*whose[1:])
        self._meters[whose] = meters
        self._meters.move_to_end(whose)

    def _forget(self, before_ms: int) -> None:
        """By the events' own time: a backlog of days is read with the memory it would have had on its day.

        Oldest first: registrations keep the order of first sight, meters that of their last move. A meter at rest
        says no more than none at all.
        """
        self.spending.forget_periods(before_ms)
        while self._oldest and self._registered[self._oldest[0]].seen_at_ms < before_ms:
            oldest = self._oldest.popleft()
            known = self._registered[oldest]
            if known.is_open or known.is_waiting:
                self._open.append(oldest)
            else:
                del self._registered[oldest]
        while self._open and self._is_done_with(self._open[0], before_ms + REMEMBERED_MS):
            done = self._open.popleft()
            if self._registered.pop(done).is_waiting:
                self.waiting.forget(done)
        while self._meters and _latest_us(next(iter(self._meters.values()))) < before_ms * 1000:
            self._meters.popitem(last=False)

    def _is_done_with(self, key: bytes, now_ms: int) -> bool:
        known = self._registered[key]
        return not (known.is_open or known.is_waiting) or known.seen_at_ms < now_ms - OPEN_MS


def _latest_us(meters: Meters) -> int:
    return max(meters.requests_us or 0, meters.tokens_us or 0, meters.tokens_hour_us or 0, meters.tokens_day_us or 0)


def _key(tenant_id: str, request_id: str) -> bytes:
    """A tenant's id holds no slash, so no two pairs read the same."""
    return blake2b(f"{tenant_id}/{request_id}".encode(), digest_size=DIGEST_BYTES).digest()

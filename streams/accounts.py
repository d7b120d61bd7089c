"""What `limit` knows of the tenants of one partition: their meters, and the request ids they have used."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.account import LimitUnit, Meter, Registration
from schemas.base import Event

REMEMBERED_MS = 24 * 3_600_000
"""A request id repeated within a day is recognised; its changelog is kept for two."""


@dataclass(frozen=True, slots=True)
class MeterKey:
    tenant_id: str
    user_id: str | None
    unit: LimitUnit

    def meter(self, arrival_us: int) -> Meter:
        return Meter(tenant_id=self.tenant_id, user_id=self.user_id, unit=self.unit, arrival_us=arrival_us)


class Accounts:
    def __init__(self) -> None:
        self._arrivals: OrderedDict[MeterKey, int] = OrderedDict()
        self._registrations: OrderedDict[tuple[str, str], Registration] = OrderedDict()
        self._newest_ms = 0

    def arrival_us(self, key: MeterKey) -> int | None:
        return self._arrivals.get(key)

    def registration(self, tenant_id: str, request_id: str) -> Registration | None:
        return self._registrations.get((tenant_id, request_id))

    def apply(self, event: Event, now_ms: int) -> Sequence[str]:
        match event:
            case Meter():
                key = MeterKey(event.tenant_id, event.user_id, event.unit)
                self._arrivals[key] = event.arrival_us
                self._arrivals.move_to_end(key)
            case Registration():
                self._registrations[event.tenant_id, event.request_id] = event
                self._newest_ms = max(self._newest_ms, min(event.seen_at_ms, now_ms))
                self._forget(self._newest_ms - REMEMBERED_MS)
            case _:
                raise TypeError(f"accounts cannot hold {type(event).__name__}")
        return ()

    def _forget(self, before_ms: int) -> None:
        """By the events' own time: a backlog of days is read with the memory it would have had on its day.

        Oldest first: registrations keep the order of first sight, meters that of their last move. A meter at rest
        says no more than none at all.
        """
        while self._registrations and next(iter(self._registrations.values())).seen_at_ms < before_ms:
            self._registrations.popitem(last=False)
        while self._arrivals and next(iter(self._arrivals.values())) < before_ms * 1000:
            self._arrivals.popitem(last=False)

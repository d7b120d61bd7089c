"""What one row says to whoever watches a deployment or a model, and a clock's strokes for an open breaker.

Rows are keyed by tenant, so one deployment's calls lie in every partition and with every worker. Sightings carry
them to the one partition of their subject: its owner is the only one who decides about that subject. Faust's own
`group_by` would forward whole rows, those that say nothing too, and drop the ones whose key it fails to compute.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from schemas.base import EpochMs, Model, dump_json
from schemas.call import CallNews, CallRow
from streams.runtime.delivery import Headers as RecordHeaders
from streams.verdicts import Verdict
from streams.watch.breaker import Call
from streams.watch.health import verdict_on


class CallSeen(Model):
    """A call to `subject`, a deployment, has ended."""

    kind: Literal["call"] = "call"
    subject: str
    verdict: Verdict
    started_at_ms: EpochMs
    provider_ms: int | None

    @property
    def call(self) -> Call:
        return Call(self.verdict, self.started_at_ms, self.provider_ms)


class TimePassed(Model):
    """Breaker or slowdown of `subject`, a deployment, may be due: sent by a timer, so that it needs no traffic."""

    kind: Literal["time"] = "time"
    subject: str


class UnpricedSeen(Model):
    """An answer of `subject`, a model, has no price."""

    kind: Literal["unpriced"] = "unpriced"
    subject: str
    provider: str | None


Sighting = CallSeen | TimePassed | UnpricedSeen
SIGHTING: TypeAdapter[Sighting] = TypeAdapter(Annotated[Sighting, Field(discriminator="kind")])


EARLIER_HEADER = "millrace-earlier"
"""The sightings of the same kind and subject that come before the one in the value: of calls a list of verdict, start
and milliseconds, of answers without a price their number. No field of the value, whose unknown fields an older version
refuses.
"""

_EARLIER = TypeAdapter(list[tuple[Verdict, EpochMs, int | None]])
_TIMES = TypeAdapter(Annotated[int, Field(ge=0)])


@dataclass(frozen=True, slots=True)
class Sighted:
    """One record: sightings of one kind and subject, in order."""

    subject: str
    value: bytes
    headers: list[tuple[str, bytes]]


def alone(sighting: Sighting) -> Sighted:
    return Sighted(sighting.subject, sighting.encode(), [])


def calls_together(subject: str, calls: Sequence[Call]) -> Sighted:
    """`calls` are to one subject, in order, at least one."""
    *earlier, last = calls
    listed = [(call.verdict, call.started_at_ms, call.provider_ms) for call in earlier]
    seen = CallSeen(
        subject=subject, verdict=last.verdict, started_at_ms=last.started_at_ms, provider_ms=last.provider_ms
    )
    return _with_earlier(seen, listed or None)


def unpriced_together(seen: UnpricedSeen, times: int) -> Sighted:
    return _with_earlier(seen, times - 1 or None)


def _with_earlier(last: Sighting, earlier: object) -> Sighted:
    headers = [] if earlier is None else [(EARLIER_HEADER, dump_json(earlier))]
    return Sighted(last.subject, last.encode(), headers)


def calls_in(seen: CallSeen, headers: RecordHeaders) -> list[Call]:
    """Raises ValueError when the header cannot be read."""
    earlier = _header(headers)
    listed = [] if earlier is None else _EARLIER.validate_json(earlier)
    return [*(Call(*each) for each in listed), seen.call]


def times_in(headers: RecordHeaders) -> int:
    """How many answers without a price one record stands for. Raises ValueError when the header cannot be read."""
    earlier = _header(headers)
    return 1 if earlier is None else 1 + _TIMES.validate_json(earlier)


def _header(headers: RecordHeaders) -> bytes | None:
    return next((value for name, value in headers if name == EARLIER_HEADER), None)


def call_seen(row: CallRow | CallNews) -> Call | None:
    """None where the row says nothing about its deployment's health."""
    verdict = verdict_on(row)
    if verdict is None or row.started_at_ms is None:
        return None
    return Call(verdict, row.started_at_ms, row.provider_ms)


def unpriced_seen(row: CallRow | CallNews) -> UnpricedSeen | None:
    if row.phase != "priced" or row.cost.status != "unpriced":
        return None
    return UnpricedSeen(subject=row.model_used or row.model_requested, provider=row.provider)

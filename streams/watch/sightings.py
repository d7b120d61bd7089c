"""What one row says to whoever watches a deployment or a model, and a clock's strokes for an open breaker.

Rows are keyed by tenant, so one deployment's calls lie in every partition and with every worker. Sightings carry
them to the one partition of their subject: its owner is the only one who decides about that subject. Faust's own
`group_by` would forward whole rows, those that say nothing too, and drop the ones whose key it fails to compute.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from schemas.base import EpochMs, Model
from schemas.call import CallRow
from streams.watch.breaker import Call
from streams.watch.health import Verdict, verdict_on


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
    """The breaker of `subject`, a deployment, may be due: sent by a timer, so that it needs no traffic."""

    kind: Literal["time"] = "time"
    subject: str


class UnpricedSeen(Model):
    """An answer of `subject`, a model, has no price."""

    kind: Literal["unpriced"] = "unpriced"
    subject: str
    provider: str | None


Sighting = CallSeen | TimePassed | UnpricedSeen
SIGHTING: TypeAdapter[Sighting] = TypeAdapter(Annotated[Sighting, Field(discriminator="kind")])


def call_seen(row: CallRow) -> CallSeen | None:
    """None where the row says nothing about its deployment's health."""
    verdict = verdict_on(row)
    if verdict is None or row.deployment is None or row.started_at_ms is None:
        return None
    return CallSeen(
        subject=row.deployment, verdict=verdict, started_at_ms=row.started_at_ms, provider_ms=row.provider_ms
    )


def unpriced_seen(row: CallRow) -> UnpricedSeen | None:
    if row.phase != "priced" or row.cost.status != "unpriced":
        return None
    return UnpricedSeen(subject=row.model_used or row.model_requested, provider=row.provider)

"""How a deployment has been doing: calls, provider faults and latency, counted in buckets of time.

Nothing here is exact where exactness would cost memory: latencies are kept to 10 %, single calls are not kept at all.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, log

from pydantic import Field

from schemas.base import Model
from schemas.call import CallNews, CallRow
from streams.verdicts import Verdict, verdict_of

_GROWTH = 1.1


def verdict_on(row: CallRow | CallNews) -> Verdict | None:
    """None where the row says nothing about the provider: no call was made or it was not seen to its end, or its end
    has another reason.
    """
    if row.phase == "started" or row.deployment is None or row.started_at_ms is None or row.hurried:
        return None
    return verdict_of(row.error_class)


def _no_latencies() -> dict[int, int]:
    return {}


class Bucket(Model):
    """The calls of one stretch of time, and beside them those that were answered 429. `latencies` counts calls by step:
    step n ends at 1.1 ** n milliseconds. `answered` are those of them that were: how soon a provider turns calls away
    says nothing about how fast it is.
    """

    calls: int = 0
    failures: int = 0
    limited: int = 0
    latencies: dict[int, int] = Field(default_factory=_no_latencies)
    answered: dict[int, int] = Field(default_factory=_no_latencies)


class Tally:
    """A bucket while calls are counted into it."""

    def __init__(self, bucket: Bucket) -> None:
        self.calls = bucket.calls
        self.failures = bucket.failures
        self.limited = bucket.limited
        self._latencies = Counter(bucket.latencies)
        self._answered = Counter(bucket.answered)

    def count(self, verdict: Verdict, provider_ms: int | None) -> None:
        if verdict == "limited":
            self.limited += 1
            return
        self.calls += 1
        self.failures += verdict == "failed"
        if provider_ms is not None:
            step = _step(provider_ms)
            self._latencies[step] += 1
            self._answered[step] += verdict == "answered"

    @property
    def bucket(self) -> Bucket:
        return Bucket(
            calls=self.calls,
            failures=self.failures,
            limited=self.limited,
            latencies=dict(self._latencies),
            answered=dict(+self._answered),
        )


@dataclass(frozen=True, slots=True)
class Health:
    """`p95_ms` is never below the true 95th percentile and at most 10 % above it; 0 when no call was timed."""

    calls: int
    failures: int
    limited: int
    p95_ms: int

    @property
    def failure_share(self) -> float:
        calls, failures = evidence(self.calls, self.failures, self.limited)
        return failures / calls if calls else 0.0


def evidence(calls: int, failures: int, limited: int) -> tuple[int, int]:
    """Calls and failures by which a deployment is judged. A 429 is no failure as long as anybody is answered: then it
    is asked less. Where nobody is, it is of no more use than one that is down.
    """
    return (calls + limited, failures + limited) if calls == failures else (calls, failures)


def health_of(buckets: Iterable[Bucket]) -> Health:
    calls = failures = limited = 0
    latencies: Counter[int] = Counter()
    for bucket in buckets:
        calls += bucket.calls
        failures += bucket.failures
        limited += bucket.limited
        latencies.update(bucket.latencies)
    return Health(calls, failures, limited, percentile_ms(latencies, 0.95))


def _step(milliseconds: int) -> int:
    return ceil(log(milliseconds, _GROWTH)) if milliseconds > 1 else 0


def percentile_ms(latencies: Counter[int], share: float) -> int:
    """Of calls counted by step: never below the true one and at most 10 % above it; 0 without any call."""
    rank = ceil(latencies.total() * share)
    seen = 0
    for step in sorted(latencies):
        seen += latencies[step]
        if seen >= rank:
            return int(_GROWTH**step)
    return 0

"""How a deployment has been doing: calls, provider faults and latency, counted in buckets of time.

Nothing here is exact where exactness would cost memory: latencies are kept to 10 %, single calls are not kept at all.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, log
from typing import Literal

from pydantic import Field

from schemas.attempt import ErrorClass
from schemas.base import Model
from schemas.call import CallNews, CallRow
from schemas.response import ErrorCode

Verdict = Literal["answered", "failed"]

PROVIDER_FAULTS: frozenset[ErrorClass] = frozenset(
    {"rate_limited", "overloaded", "server_error", "timeout", "connection", "cut_stream", "malformed_response"}
)
ANSWERS_OF_A_HEALTHY_PROVIDER: frozenset[ErrorClass | ErrorCode] = frozenset(
    {"bad_request", "content_filtered", "invalid_output"}
)
_GROWTH = 1.1


def verdict_on(row: CallRow | CallNews) -> Verdict | None:
    """None where the row says nothing about the provider: no call was made or it was not seen to its end, the
    request expired, or our own configuration (key, permission, model name) was refused.
    """
    if row.phase == "started" or row.deployment is None or row.started_at_ms is None:
        return None
    if row.error_class is None or row.error_class in ANSWERS_OF_A_HEALTHY_PROVIDER:
        return "answered"
    return "failed" if row.error_class in PROVIDER_FAULTS else None


def _no_latencies() -> dict[int, int]:
    return {}


class Bucket(Model):
    """The calls of one stretch of time. `latencies` counts calls by step: step n ends at 1.1 ** n milliseconds.
    `answered` are those of them that were: how soon a provider turns calls away says nothing about how fast it is.
    """

    calls: int = 0
    failures: int = 0
    latencies: dict[int, int] = Field(default_factory=_no_latencies)
    answered: dict[int, int] = Field(default_factory=_no_latencies)


class Tally:
    """A bucket while calls are counted into it."""

    def __init__(self, bucket: Bucket) -> None:
        self.calls = bucket.calls
        self.failures = bucket.failures
        self._latencies = Counter(bucket.latencies)
        self._answered = Counter(bucket.answered)

    def count(self, verdict: Verdict, provider_ms: int | None) -> None:
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
            latencies=dict(self._latencies),
            answered=dict(+self._answered),
        )


@dataclass(frozen=True, slots=True)
class Health:
    """`p95_ms` is never below the true 95th percentile and at most 10 % above it; 0 when no call was timed."""

    calls: int
    failures: int
    p95_ms: int

    @property
    def failure_share(self) -> float:
        return self.failures / self.calls if self.calls else 0.0


def health_of(buckets: Iterable[Bucket]) -> Health:
    calls = failures = 0
    latencies: Counter[int] = Counter()
    for bucket in buckets:
        calls += bucket.calls
        failures += bucket.failures
        latencies.update(bucket.latencies)
    return Health(calls, failures, percentile_ms(latencies, 0.95))


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

"""The state machine of a deployment's breaker: closed, open, half open. Pure; time comes in.

Its state is the very object that is published on `llm.control`, so there is nothing else to remember or to disagree.
Functions return the object they were given when nothing changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from msgspec import Struct

from schemas.alert import Alert
from schemas.control import Breaker
from streams.verdicts import Verdict
from streams.watch.health import Bucket, Health, Tally, evidence, health_of


@dataclass(frozen=True, slots=True)
class Thresholds:
    """A breaker opens for `open_ms` when at least `failure_share` of at least `min_calls` calls failed."""

    min_calls: int
    failure_share: float
    open_ms: int

    def are_passed(self, calls: int, failures: int, limited: int) -> bool:
        calls, failures = evidence(calls, failures, limited)
        return calls >= self.min_calls and failures / calls >= self.failure_share


class Call(Struct, frozen=True):
    """What became of one call to the deployment; `started_at_ms` by the clock of the worker that made it."""

    verdict: Verdict
    started_at_ms: int
    provider_ms: int | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """`bucket` replaces the newest bucket; None when no call was evidence and counted. `rest` are the calls that came
    after the one at which the breaker changed: they are to be judged by what it has become.
    """

    breaker: Breaker
    bucket: Bucket | None = None
    rest: Sequence[Call] = ()


def untroubled(deployment: str) -> Breaker:
    """The breaker of a deployment nobody has complained about yet; it need not be published."""
    return Breaker(name=deployment, state="closed", until_ms=0, failure_share=0, calls=0, p95_ms=0, since_ms=0)


def after_time(breaker: Breaker, now_ms: int) -> Breaker:
    if breaker.state == "open" and now_ms >= breaker.until_ms:
        return breaker.model_copy(update={"state": "half_open", "since_ms": now_ms})
    return breaker


def after_calls(
    breaker: Breaker, calls: Sequence[Call], buckets: Sequence[Bucket], now_ms: int, thresholds: Thresholds
) -> Judgement:
    """As if each call were judged for itself, up to the first at which the breaker changes. `buckets` are those of the
    window, newest first, none from before the breaker closed.

    A call begun before the breaker's last change of mind proves nothing about what came after it: such calls still
    end while the breaker is open, and would close or open it again for reasons that are known already.
    """
    breaker = after_time(breaker, now_ms)
    match breaker.state:
        case "closed":
            return _counted(breaker, calls, buckets, now_ms, thresholds)
        case "half_open":
            for number, call in enumerate(calls, 1):
                if call.started_at_ms >= breaker.until_ms:
                    return Judgement(_probed(breaker, call.verdict, now_ms, thresholds), rest=calls[number:])
            return Judgement(breaker)
        case "open":
            return Judgement(breaker)
        case _ as unreachable:
            assert_never(unreachable)


def _counted(
    breaker: Breaker, calls: Sequence[Call], buckets: Sequence[Bucket], now_ms: int, thresholds: Thresholds
) -> Judgement:
    newest, older = Tally(buckets[0]), health_of(buckets[1:])
    for number, call in enumerate(calls, 1):
        if call.started_at_ms < breaker.since_ms:
            continue
        newest.count(call.verdict, call.provider_ms)
        if thresholds.are_passed(
            older.calls + newest.calls, older.failures + newest.failures, older.limited + newest.limited
        ):
            bucket = newest.bucket
            health = health_of((bucket, *buckets[1:]))
            return Judgement(_opened(breaker, health, now_ms, thresholds), bucket, calls[number:])
    has_counted = newest.calls + newest.limited > buckets[0].calls + buckets[0].limited
    return Judgement(breaker, newest.bucket if has_counted else None)


def _opened(breaker: Breaker, health: Health, now_ms: int, thresholds: Thresholds) -> Breaker:
    calls, _ = evidence(health.calls, health.failures, health.limited)
    return Breaker(
        name=breaker.name,
        state="open",
        until_ms=now_ms + thresholds.open_ms,
        failure_share=health.failure_share,
        calls=calls,
        p95_ms=health.p95_ms,
        since_ms=now_ms,
    )


def _probed(breaker: Breaker, verdict: Verdict, now_ms: int, thresholds: Thresholds) -> Breaker:
    match verdict:
        case "answered":
            return untroubled(breaker.name).model_copy(update={"since_ms": now_ms})
        case "failed" | "limited":
            return breaker.model_copy(
                update={"state": "open", "until_ms": now_ms + thresholds.open_ms, "since_ms": now_ms}
            )
        case _ as unreachable:
            assert_never(unreachable)


def alert_on(before: Breaker, after: Breaker, thresholds: Thresholds, now_ms: int) -> Alert | None:
    """When trouble begins and when it is over; a failed probe in between is no news."""
    subject = f"deployment/{after.name}"
    share, limit = f"{after.failure_share:.3f}", f"{thresholds.failure_share:.3f}"
    if before.state == "closed" and after.state == "open":
        return Alert(
            alert="deployment_unhealthy",
            severity="critical",
            subject=subject,
            message=f"{after.name}: {after.failure_share:.0%} of the last {after.calls} calls failed. Other targets of "
            f"its routes are asked first; it is tried again in {thresholds.open_ms // 1_000} s.",
            value=share,
            threshold=limit,
            at_ms=now_ms,
        )
    if before.state != "closed" and after.state == "closed":
        return Alert(
            alert="deployment_recovered",
            severity="info",
            subject=subject,
            message=f"{after.name} answered a probe and takes its share of requests again.",
            value=share,
            threshold=limit,
            at_ms=now_ms,
        )
    return None

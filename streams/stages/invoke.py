"""What to do next about a dispatched request: call a target, wait, or end it. The only stage that waits on others.

Pure: the shell in `streams/invoke` makes the calls. Every attempt counts against one budget, whatever its target.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from msgspec import Struct

from schemas.attempt import Attempt, ErrorClass
from schemas.control import Breaker
from schemas.flow import Dispatch, Stale, Target
from schemas.response import ErrorCode, Failure, Status
from streams.control import ControlView
from streams.routes import is_elsewhere

ASK_ELSEWHERE: frozenset[ErrorClass] = frozenset({"authentication", "permission", "not_found"})
"""This deployment cannot answer, another may."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Doubles from `first_ms` up to `cap_ms`; jitter spreads it between half and whole."""

    first_ms: int
    cap_ms: int

    def pause_ms(self, failures: int, jitter: float) -> int:
        whole = min(self.cap_ms, self.first_ms * 2 ** max(failures - 1, 0))
        return int(whole * (0.5 + jitter / 2))


class Call(Struct, frozen=True):
    """`timeout_ms` never reaches past the request's deadline."""

    target: Target
    target_index: int
    attempt_no: int
    timeout_ms: int


class Wait(Struct, frozen=True):
    until_ms: int


class End(Struct, frozen=True):
    status: Status
    failure: Failure


Step = Call | Wait | End


class Foreseen(Struct, frozen=True):
    """How long a deployment's limits let the request wait before it could be asked, and how long it then takes to
    answer, as usual.
    """

    wait_ms: int
    call_ms: int


Foresee = Callable[[str], Foreseen]
"""Of a deployment, by its name."""


def next_step(
    dispatch: Dispatch,
    attempts: Sequence[Attempt],
    control: ControlView,
    now_ms: int,
    *,
    jitter: float,
    backoff: Backoff,
    foresee: Foresee | None = None,
    chosen: int | None = None,
) -> Step:
    """After a failure the next healthy target is asked at once; only when all have failed is there a pause. `attempts`
    are those of the dispatch's own round: they failed. Earlier rounds count against the budget, and their failures
    against their targets.

    `jitter` is in [0, 1) and fixed for the request, so that asking again gives the same answer. `chosen` is the index
    of a target that has been waited for: it is asked if it may still be. `foresee` is given where the route would
    rather ask elsewhere than wait.
    """
    deadline_ms = dispatch.ticket.deadline_ms
    if deadline_ms is not None and deadline_ms <= now_ms:
        return _expired()
    earlier, from_target = (dispatch.round.attempts, dispatch.round.from_target) if dispatch.round else ((), 0)
    made = len(earlier) + len(attempts)
    failures = [attempt for attempt in (*earlier, *attempts) if attempt.error_class is not None]
    if attempts:
        last = attempts[-1]
        if _is_final(last) or (last.ambiguous and not dispatch.plan.retry_ambiguous):
            return End("failed", failure_of(last))
        if made >= dispatch.plan.max_attempts:
            return End("failed", failure_of(last))
    openings: list[tuple[int, int, int]] = []
    for index, target in enumerate(dispatch.plan.targets[from_target:], from_target):
        tries = [failure for failure in failures if failure.target_index == index]
        if _may_be_asked(target, tries, dispatch.ticket.tenant_id, control):
            ready_ms = max(_breaker_ms(control.breakers.get(target.deployment)), _rested_ms(tries, jitter, backoff))
            openings.append((ready_ms, len(tries), index))
    if not openings:
        return End("failed", failure_of(failures[-1]) if failures else _all_elsewhere(dispatch))
    ready = [(tries, index) for ready_ms, tries, index in openings if ready_ms <= now_ms]
    if not ready:
        return _wait(min(ready_ms for ready_ms, _, _ in openings), deadline_ms, attempts)
    index = _chosen(dispatch, ready, foresee, chosen)
    timeout_ms = dispatch.plan.timeout_ms
    if deadline_ms is not None:
        timeout_ms = min(timeout_ms, deadline_ms - now_ms)
    return Call(dispatch.plan.targets[index], index, made + 1, timeout_ms)


def _may_be_asked(target: Target, tries: Sequence[Attempt], tenant_id: str | None, control: ControlView) -> bool:
    """The tenant's regions may have changed while the request waited."""
    has_refused = any(attempt.error_class in ASK_ELSEWHERE for attempt in tries)
    return not has_refused and not is_elsewhere(control, tenant_id, target)


def _chosen(dispatch: Dispatch, ready: list[tuple[int, int]], foresee: Foresee | None, chosen: int | None) -> int:
    """The plan's order, among those asked least often. One that must be waited for is passed over where another would
    have answered before it could even be asked.
    """
    fewest, first = min(ready)
    fresh = [index for tries, index in sorted(ready) if tries == fewest]
    if chosen in fresh:
        return chosen
    if foresee is None or len(fresh) == 1:
        return first
    seen = {index: foresee(dispatch.plan.targets[index].deployment) for index in fresh}
    if seen[first].wait_ms == 0:
        return first
    soonest = min(fresh[1:], key=lambda index: seen[index].wait_ms + seen[index].call_ms)
    return soonest if seen[soonest].wait_ms + seen[soonest].call_ms < seen[first].wait_ms else first


def instead(dispatch: Dispatch, end: End) -> Stale | None:
    """An expired answer, where there is one, for whoever got none because nobody could be asked. Not for a question
    that was refused.
    """
    return dispatch.stale if end.failure.code in _NOBODY_ANSWERED else None


_NOBODY_ANSWERED: frozenset[ErrorCode] = frozenset({"provider_unavailable", "provider_timeout", "deadline_exceeded"})


def _wait(until_ms: int, deadline_ms: int | None, attempts: Sequence[Attempt]) -> Step:
    """Never past the deadline. Who has asked nobody yet waits for a breaker, which may close earlier than it said."""
    if deadline_ms is None or until_ms < deadline_ms:
        return Wait(until_ms)
    return End("failed", failure_of(attempts[-1])) if attempts else Wait(deadline_ms)


def _is_final(attempt: Attempt) -> bool:
    return not attempt.retryable and attempt.error_class not in ASK_ELSEWHERE


def _rested_ms(tries: Sequence[Attempt], jitter: float, backoff: Backoff) -> int:
    """When a target may be asked again after these: after its pause or Retry-After. At once when it was not asked."""
    if not tries:
        return 0
    pause_ms = max(backoff.pause_ms(len(tries), jitter), tries[-1].retry_after_ms or 0)
    return (tries[-1].ended_at_ms or 0) + pause_ms


def _breaker_ms(breaker: Breaker | None) -> int:
    return breaker.until_ms if breaker is not None and breaker.state == "open" else 0


def _all_elsewhere(dispatch: Dispatch) -> Failure:
    message = (
        f"no target of route {dispatch.plan.route} is where the tenant's data may go any more: send it again, or have "
        "the operator add one"
    )
    return Failure(code="no_target", message=message, field="tenant_id", retryable=True)


def _expired() -> End:
    message = "deadline_ms passed before an answer came; send it again with more time"
    return End("expired", Failure(code="deadline_exceeded", message=message, field="deadline_ms", retryable=True))


_CODES: dict[ErrorClass, ErrorCode] = {
    "timeout": "provider_timeout",
    "bad_request": "provider_rejected",
    "content_filtered": "provider_rejected",
}


def failure_of(attempt: Attempt) -> Failure:
    """What the requester is told after the last attempt. Retryable when time may help."""
    code = _CODES.get(attempt.error_class or "interrupted", "provider_unavailable")
    return Failure(
        code=code,
        message=f"{attempt.deployment} did not answer: {attempt.error_message or attempt.error_class}",
        retryable=attempt.retryable,
        retry_after_ms=attempt.retry_after_ms,
    )

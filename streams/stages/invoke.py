"""What to do next about a dispatched request: call a target, wait, or end it. The only stage that waits on others.

Pure: the shell in `streams/invoke` makes the calls. Every attempt counts against one budget, whatever its target.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from msgspec import Struct

from schemas.attempt import Attempt, ErrorClass
from schemas.control import Breaker
from schemas.flow import Dispatch, Stale, Target, asked_in, is_judging
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

    A judge is not waited for, and each is asked once: there is an answer already.

    `jitter` is in [0, 1) and fixed for the request, so that asking again gives the same answer. `chosen` is the index
    of a target that has been waited for: it is asked if it may still be. `foresee` is given where the route would
    rather ask elsewhere than wait.
    """
    deadline_ms = dispatch.ticket.deadline_ms
    if deadline_ms is not None and deadline_ms <= now_ms:
        return _expired()
    earlier = dispatch.round.attempts if dispatch.round else ()
    made = len(earlier) + len(attempts)
    failures = [attempt for attempt in (*earlier, *attempts) if attempt.error_class is not None]
    if attempts:
        last = attempts[-1]
        if _is_final(last) or (last.ambiguous and not dispatch.plan.retry_ambiguous):
            return End("failed", failure_of(last))
        if made >= dispatch.plan.max_attempts:
            return End("failed", failure_of(last))
    openings = list(_openings(dispatch, attempts, failures, control, lambda tries: _rested_ms(tries, jitter, backoff)))
    if not openings:
        return End("failed", failure_of(failures[-1]) if failures else _all_elsewhere(dispatch))
    ready = [(tries, index) for ready_ms, tries, index in openings if ready_ms <= now_ms]
    if not ready:
        return _later(dispatch, min(ready_ms for ready_ms, _, _ in openings), attempts)
    index = _chosen(dispatch, ready, foresee, chosen)
    timeout_ms = dispatch.plan.timeout_ms
    if deadline_ms is not None:
        timeout_ms = min(timeout_ms, deadline_ms - now_ms)
    return Call(dispatch.plan.targets[index], index, made + 1, timeout_ms)


def _openings(
    dispatch: Dispatch,
    attempts: Sequence[Attempt],
    failures: Sequence[Attempt],
    control: ControlView,
    rested_ms: Callable[[Sequence[Attempt]], int],
) -> Iterator[tuple[int, int, int]]:
    """Of each target that may be asked at all: from when on, how often it has failed, and its index."""
    done = {attempt.target_index for attempt in attempts} if is_judging(dispatch.round) else frozenset[int]()
    for index in asked_in(dispatch.plan, dispatch.round):
        target = dispatch.plan.targets[index]
        tries = [failure for failure in failures if failure.target_index == index]
        if index not in done and _may_be_asked(target, tries, dispatch.ticket.tenant_id, control):
            yield max(_breaker_ms(control.breakers.get(target.deployment)), rested_ms(tries)), len(tries), index


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


def _later(dispatch: Dispatch, until_ms: int, attempts: Sequence[Attempt]) -> Step:
    """Never past the deadline. Who has asked nobody yet waits for a breaker, which may close earlier than it said."""
    deadline_ms = dispatch.ticket.deadline_ms
    if is_judging(dispatch.round):
        return End("failed", failure_of(attempts[-1]) if attempts else _no_judge(dispatch))
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


def _no_judge(dispatch: Dispatch) -> Failure:
    """Told to nobody: an answer that nobody can judge now is given."""
    return Failure(code="provider_unavailable", message=f"no judge of route {dispatch.plan.route} can be asked now")


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

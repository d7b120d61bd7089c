"""Every attempt counts against one budget, no call outlives its deadline, and every request comes to an end."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from schemas.attempt import Attempt, ErrorClass
from schemas.flow import Dispatch, Saved, Stale, Ticket
from schemas.usage import Usage
from streams.control import ControlView
from streams.providers.protocol import Misconfigured
from streams.providers.refusal import Refusal, verdict
from streams.stages.invoke import (
    ASK_ELSEWHERE,
    Backoff,
    Call,
    End,
    Foreseen,
    Step,
    Wait,
    failure_of,
    instead,
    next_step,
)
from tests.unit.examples import (
    NOW_MS,
    answer,
    attempt,
    breaker,
    control,
    dispatch,
    failed_attempt,
    ticket,
)

BACKOFF = Backoff(first_ms=200, cap_ms=5_000)
NAMES = ("a", "b", "c")


def step(
    asked: Dispatch,
    attempts: Sequence[Attempt] = (),
    *,
    now_ms: int = NOW_MS,
    configured: ControlView | None = None,
    jitter: float = 1.0,
) -> Step:
    return next_step(asked, attempts, configured or control(), now_ms, jitter=jitter, backoff=BACKOFF)


def called(taken: Step) -> Call:
    assert isinstance(taken, Call), taken
    return taken


def ended(taken: Step) -> End:
    assert isinstance(taken, End), taken
    return taken


def hurried(deadline_ms: int, *deployments: str, **changes: Any) -> Dispatch:
    return dispatch(*deployments, ticket_=ticket(deadline_ms=deadline_ms), **changes)


def failed(number: int = 1, target_index: int = 0, **changes: Any) -> Attempt:
    """Ended just now."""
    return failed_attempt(number, target_index=target_index, ended_at_ms=NOW_MS, **changes)


LOST: dict[str, Any] = {"error_class": "timeout", "http_status": None, "ambiguous": True}
MISCONFIGURED: dict[str, Any] = {"error_class": "authentication", "http_status": 401, "retryable": False}
UNACCEPTABLE: dict[str, Any] = {"error_class": "bad_request", "http_status": 400, "retryable": False}


def test_the_routes_first_choice_is_asked_first_with_the_routes_time() -> None:
    first = called(step(dispatch("a", "b", timeout_ms=9_000)))

    assert (first.target.deployment, first.target_index, first.attempt_no, first.timeout_ms) == ("a", 0, 1, 9_000)


def test_after_a_failure_the_next_target_is_asked_at_once() -> None:
    second = called(step(dispatch("a", "b"), [failed()]))

    assert (second.target.deployment, second.attempt_no) == ("b", 2)


def test_when_all_have_failed_each_is_asked_again_after_its_pause() -> None:
    attempts = [failed(1, 0), failed(2, 1)]
    asked = dispatch("a", "b", max_attempts=9)

    assert step(asked, attempts) == Wait(NOW_MS + 200)
    assert called(step(asked, attempts, now_ms=NOW_MS + 200)).target.deployment == "a"


@pytest.mark.parametrize(("failures", "pause_ms"), [(1, 200), (2, 400), (3, 800), (6, 5_000), (9, 5_000)])
def test_pauses_double_up_to_their_cap(failures: int, pause_ms: int) -> None:
    assert BACKOFF.pause_ms(failures, 1.0) == pause_ms
    assert BACKOFF.pause_ms(failures, 0.0) == pause_ms // 2


def test_retry_after_is_obeyed_for_the_target_that_said_so_and_no_other() -> None:
    told = failed(retry_after_ms=30_000)

    assert step(dispatch("a"), [told]) == Wait(NOW_MS + 30_000)
    assert called(step(dispatch("a", "b"), [told])).target.deployment == "b"


def test_a_retry_after_shorter_than_the_pause_does_not_shorten_it() -> None:
    assert step(dispatch("a"), [failed(retry_after_ms=1)]) == Wait(NOW_MS + 200)


def test_the_budget_is_one_for_all_targets() -> None:
    attempts = [failed(1, 0), failed(2, 1), failed(3, 0)]

    assert ended(step(dispatch("a", "b", max_attempts=3), attempts)).status == "failed"


def test_a_question_that_was_refused_is_put_to_nobody_else() -> None:
    end = ended(step(dispatch("a", "b"), [failed(**UNACCEPTABLE)]))

    assert (end.status, end.failure.code, end.failure.retryable) == ("failed", "provider_rejected", False)


def test_a_deployment_that_cannot_answer_is_left_for_good_and_another_asked() -> None:
    asked, wrong_key = dispatch("a", "b", max_attempts=9), failed(**MISCONFIGURED)

    assert called(step(asked, [wrong_key])).target.deployment == "b"
    assert called(step(asked, [wrong_key, failed(2, 1)], now_ms=NOW_MS + 200)).target.deployment == "b"
    assert ended(step(asked, [wrong_key, failed(2, 1, **MISCONFIGURED)])).failure.code == "provider_unavailable"


def test_what_may_have_been_billed_is_repeated_only_where_the_route_allows_it() -> None:
    careful, careless = dispatch("a", "b", retry_ambiguous=False), dispatch("a", "b", retry_ambiguous=True)

    assert ended(step(careful, [failed(**LOST)])).failure.code == "provider_timeout"
    assert called(step(careless, [failed(**LOST)])).target.deployment == "b"
    assert called(step(careful, [failed()])).target.deployment == "b"


BUSY: dict[str, Foreseen] = {"a": Foreseen(5_000, 900), "b": Foreseen(3_000, 900), "c": Foreseen(0, 4_000)}


def around(asked: Dispatch, *attempts: Attempt, chosen: int | None = None, **waits: Foreseen) -> str:
    """Whom a route asks that goes elsewhere when one is busy."""
    foreseen = {**BUSY, **waits}
    taken = next_step(
        asked, attempts, control(), NOW_MS, jitter=1.0, backoff=BACKOFF, foresee=foreseen.__getitem__, chosen=chosen
    )
    return called(taken).target.deployment


def test_a_busy_target_is_passed_over_where_another_would_have_answered_before_it_is_free() -> None:
    assert around(dispatch("a", "b", "c")) == "b"
    assert around(dispatch("a", "c")) == "c"
    assert around(dispatch("a", "b", "c"), a=Foreseen(3_900, 900)) == "a"
    assert around(dispatch("a", "b", "c"), a=Foreseen(0, 9_000)) == "a"


def test_a_target_that_is_busy_is_not_passed_over_for_one_that_has_failed_already() -> None:
    assert around(dispatch("a", "c"), failed(1, 1)) == "a"


def test_a_target_that_was_waited_for_is_asked_whatever_is_foreseen_by_then_unless_it_must_not_be() -> None:
    assert around(dispatch("a", "b", "c"), chosen=0) == "a"
    assert around(dispatch("a", "c"), failed(1, 0), chosen=0) == "c"


def test_an_expired_answer_is_given_where_nobody_could_be_asked_but_not_for_a_question_that_was_refused() -> None:
    asked = stale_dispatch("a", ticket_=ticket(deadline_ms=NOW_MS), max_attempts=1)
    expired, refused = ended(step(asked)), failed(**UNACCEPTABLE)
    late = replace_ticket(asked, ticket())

    assert instead(asked, expired) == asked.stale
    assert instead(late, ended(step(late, [failed()]))) == asked.stale
    assert instead(late, ended(step(late, [failed(**LOST)]))) == asked.stale
    assert instead(late, ended(step(late, [refused]))) is None
    assert instead(dispatch("a"), expired) is None


def stale_dispatch(*deployments: str, **changes: Any) -> Dispatch:
    saved = Saved(request_id="r-0", usage=Usage(), cost_usd=None)
    return changed(dispatch(*deployments, **changes), stale=Stale(answer=answer(), saved=saved, expired_at_ms=NOW_MS))


def replace_ticket(asked: Dispatch, other: Ticket) -> Dispatch:
    return changed(asked, ticket=other)


def test_a_call_may_take_no_longer_than_is_left_until_the_deadline() -> None:
    assert called(step(hurried(NOW_MS + 300))).timeout_ms == 300
    assert called(step(hurried(NOW_MS + 10**9))).timeout_ms == 15_000


@pytest.mark.parametrize("attempts", [[], [failed()]], ids=["never asked", "asked once"])
def test_at_its_deadline_a_request_expires(attempts: list[Attempt]) -> None:
    end = ended(step(hurried(NOW_MS, "a", "b"), attempts))

    assert (end.status, end.failure.code, end.failure.field) == ("expired", "deadline_exceeded", "deadline_ms")


def test_a_pause_that_would_reach_past_the_deadline_is_not_begun() -> None:
    end = ended(step(hurried(NOW_MS + 200, "a"), [failed()]))

    assert (end.status, end.failure.code) == ("failed", "provider_unavailable")


def open_until(until_ms: int, *names: str) -> ControlView:
    return control(*(breaker(name, until_ms=until_ms) for name in names))


def test_a_target_whose_breaker_is_open_is_passed_over() -> None:
    assert called(step(dispatch("a", "b"), configured=open_until(NOW_MS + 1, "a"))).target.deployment == "b"


def test_with_every_breaker_open_the_request_waits_for_the_first_to_let_it_through() -> None:
    configured = control(breaker("a", until_ms=NOW_MS + 700), breaker("b", until_ms=NOW_MS + 500))

    assert step(dispatch("a", "b"), configured=configured) == Wait(NOW_MS + 500)
    assert called(step(dispatch("a", "b"), configured=configured, now_ms=NOW_MS + 500)).target.deployment == "b"


def test_a_breaker_open_beyond_the_deadline_is_waited_for_since_it_may_close_before() -> None:
    """It was answered at once, seconds early, with `deadline_ms passed`: which it had not."""
    asked, configured = hurried(NOW_MS + 5_000, "a"), open_until(NOW_MS + 30_000, "a")

    assert step(asked, configured=configured) == Wait(NOW_MS + 5_000)
    assert ended(step(asked, configured=configured, now_ms=NOW_MS + 5_000)).status == "expired"
    assert called(step(asked, now_ms=NOW_MS + 1_000)).timeout_ms == 4_000


@pytest.mark.parametrize("error_class", get_args(ErrorClass))
def test_every_kind_of_failure_has_words_for_the_requester(error_class: ErrorClass) -> None:
    told = failure_of(failed_attempt(error_class=error_class, error_message=None, retry_after_ms=70))

    assert told.message == f"openai-1 did not answer: {error_class}"
    assert told.code in {"provider_unavailable", "provider_rejected", "provider_timeout"}
    assert (told.retryable, told.retry_after_ms) == (True, 70)


@pytest.mark.parametrize("status", range(300, 600))
def test_the_errors_that_send_us_elsewhere_are_those_that_say_so(status: int) -> None:
    error = verdict(Refusal(status, status))

    assert isinstance(error, Misconfigured) is error.elsewhere is (error.error_class in ASK_ELSEWHERE)


@dataclass(frozen=True, slots=True)
class Result:
    """What a target does with a call; None: it answers."""

    error_class: ErrorClass | None
    retryable: bool = True
    ambiguous: bool = False
    retry_after_ms: int | None = None
    took: float = 0.5


KINDS = (
    Result(None),
    Result("rate_limited"),
    Result("server_error"),
    Result("connection"),
    Result("timeout", ambiguous=True),
    Result("cut_stream", ambiguous=True),
    Result("authentication", retryable=False),
    Result("not_found", retryable=False),
    Result("bad_request", retryable=False),
    Result("content_filtered", retryable=False),
)


@st.composite
def results(draw: st.DrawFn) -> Result:
    retry_after_ms = draw(st.none() | st.integers(0, 600_000))
    return replace(draw(st.sampled_from(KINDS)), retry_after_ms=retry_after_ms, took=draw(st.floats(0, 1)))


FORESEEN = st.builds(Foreseen, st.integers(0, 60_000), st.integers(0, 60_000))
FORESEEN_OF: dict[str, st.SearchStrategy[Foreseen]] = dict.fromkeys(NAMES, FORESEEN)


@dataclass(frozen=True, slots=True)
class World:
    dispatch: Dispatch
    results: tuple[Result, ...]
    control: ControlView
    jitter: float
    foreseen: dict[str, Foreseen] | None


@st.composite
def worlds(draw: st.DrawFn) -> World:
    names = NAMES[: draw(st.integers(1, 3))]
    deadline_ms = draw(st.none() | st.integers(NOW_MS - 10, NOW_MS + 120_000))
    asked = dispatch(
        *names,
        ticket_=ticket(deadline_ms=deadline_ms),
        max_attempts=draw(st.integers(1, 10)),
        timeout_ms=draw(st.integers(1, 60_000)),
        retry_ambiguous=draw(st.booleans()),
    )
    broken = [
        breaker(n, until_ms=draw(st.integers(NOW_MS - 10, NOW_MS + 60_000))) for n in names if draw(st.booleans())
    ]
    return World(
        asked,
        tuple(draw(st.lists(results(), min_size=10, max_size=10))),
        control(*broken),
        draw(st.floats(0, 1, exclude_max=True)),
        draw(st.none() | st.fixed_dictionaries(FORESEEN_OF)),
    )


def lived(world: World) -> Iterator[tuple[int, Step, tuple[Attempt, ...]]]:
    """Each step with the time at which it was taken and the attempts before it; the last one ends the request."""
    now_ms, attempts = NOW_MS, list[Attempt]()
    for _ in range(50):
        taken = next_step(
            world.dispatch,
            attempts,
            world.control,
            now_ms,
            jitter=world.jitter,
            backoff=BACKOFF,
            foresee=None if world.foreseen is None else world.foreseen.__getitem__,
        )
        yield now_ms, taken, tuple(attempts)
        match taken:
            case End():
                return
            case Wait(until_ms):
                assert until_ms > now_ms, "a wait that does not wait would spin"
                now_ms = until_ms
            case Call():
                result = world.results[len(attempts)]
                if result.error_class is None:
                    return
                started_ms, now_ms = now_ms, now_ms + int(taken.timeout_ms * result.took)
                attempts.append(
                    attempt(
                        taken.attempt_no,
                        target_index=taken.target_index,
                        deployment=taken.target.deployment,
                        started_at_ms=started_ms,
                        ended_at_ms=now_ms,
                        error_class=result.error_class,
                        retryable=result.retryable,
                        ambiguous=result.ambiguous,
                        retry_after_ms=result.retry_after_ms,
                    )
                )
    pytest.fail("the request does not come to an end")


@settings(deadline=None)
@given(world=worlds())
def test_every_request_ends_within_its_budget_and_its_deadline(world: World) -> None:
    steps = list(lived(world))
    calls = [taken for _, taken, _ in steps if isinstance(taken, Call)]
    deadline_ms = world.dispatch.ticket.deadline_ms

    assert [call.attempt_no for call in calls] == list(range(1, len(calls) + 1))
    assert len(calls) <= world.dispatch.plan.max_attempts
    for now_ms, taken, _ in steps:
        if isinstance(taken, Call):
            assert 0 < taken.timeout_ms <= world.dispatch.plan.timeout_ms
            assert deadline_ms is None or now_ms + taken.timeout_ms <= deadline_ms
        elif isinstance(taken, Wait):
            assert deadline_ms is None or taken.until_ms <= deadline_ms
        elif taken.status == "expired":
            assert deadline_ms is not None
            assert now_ms >= deadline_ms


@settings(deadline=None)
@given(world=worlds())
def test_no_call_is_made_that_must_not_be_made(world: World) -> None:
    for now_ms, taken, attempts in lived(world):
        if not isinstance(taken, Call):
            continue
        barrier = world.control.breakers.get(taken.target.deployment)
        assert barrier is None or barrier.until_ms <= now_ms
        mine = [each for each in attempts if each.target_index == taken.target_index]
        assert not any(each.error_class in ASK_ELSEWHERE for each in mine)
        for before in mine[-1:]:
            assert now_ms >= (before.ended_at_ms or 0) + (before.retry_after_ms or 0)
        for last in attempts[-1:]:
            assert last.retryable or last.error_class in ASK_ELSEWHERE
            assert world.dispatch.plan.retry_ambiguous or not last.ambiguous


@settings(deadline=None)
@given(world=worlds())
def test_a_healthy_target_that_was_not_tried_is_asked_before_any_is_asked_again_and_without_a_pause(
    world: World,
) -> None:
    for now_ms, taken, attempts in lived(world):
        tried = {each.target_index for each in attempts}
        fresh = [
            index
            for index, target in enumerate(world.dispatch.plan.targets)
            if index not in tried
            and ((barrier := world.control.breakers.get(target.deployment)) is None or barrier.until_ms <= now_ms)
        ]
        if fresh and not isinstance(taken, End):
            assert isinstance(taken, Call)
            assert taken.target_index in fresh
            assert world.foreseen is not None or taken.target_index == fresh[0]


@settings(deadline=None)
@given(world=worlds())
def test_the_same_past_always_leads_to_the_same_step(world: World) -> None:
    assert list(lived(world)) == list(lived(world))

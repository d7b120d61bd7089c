"""Every call is on the ledger before the provider hears of it, and every dispatched request comes to an end."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from schemas.attempt import Attempt
from schemas.call import CallRow
from schemas.control import Deployment
from schemas.flow import Answer, Completion, Dispatch
from schemas.response import Output
from streams.control import ControlView, with_object
from streams.cost.ledger import FREE, UNKNOWN
from streams.invoke.caller import LONGEST_NAP_MS, Caller, Surroundings
from streams.observe.metrics import Metrics
from streams.providers.protocol import (
    Lost,
    Misconfigured,
    ProviderError,
    Question,
    Reply,
    TurnedAway,
    Unacceptable,
)
from streams.stages.invoke import Backoff
from tests.fakes.provider import FakeProvider, saying
from tests.unit.examples import (
    NOW_MS,
    PROMPT_CANARY,
    admitted,
    breaker,
    control,
    deployment,
    dispatch,
    slot_of,
    ticket,
)

CALL_MS = 70
WRITE_MS = 5
BUSY = TurnedAway("overloaded", "The provider refused (HTTP 529): it is overloaded; wait.", http_status=529)
LOST = Lost("timeout", "The provider did not answer in time: allow more time or ask for less.")
ELSEWHERE = control(deployment("other"))


class LedgerIsDown(Exception):
    """The broker does not take a row."""


@dataclass
class World:
    """Time that passes only when something takes time; what is written and asked, in order."""

    control: ControlView = field(default_factory=lambda: ELSEWHERE)
    now_ms: int = NOW_MS
    events: list[str] = field(default_factory=list[str])
    rows: list[CallRow] = field(default_factory=list[CallRow])
    naps_ms: list[int] = field(default_factory=list[int])
    providers: dict[str, FakeProvider] = field(default_factory=dict[str, FakeProvider])
    metrics: Metrics = field(default_factory=Metrics)
    while_asleep: Callable[[], None] = lambda: None
    ledger_breaks_after: int | None = None
    before_asking: Callable[[], Awaitable[None]] | None = None

    async def ask(self, deployment: Deployment, question: Question) -> Reply:
        self.events.append(f"ask {deployment.name}")
        if self.before_asking is not None:
            await self.before_asking()
        self.now_ms += CALL_MS
        return await self.providers[deployment.name].ask(question)

    async def book(self, row: CallRow) -> None:
        if self.ledger_breaks_after is not None and len(self.rows) >= self.ledger_breaks_after:
            raise LedgerIsDown
        self.now_ms += WRITE_MS
        self.events.append(f"{row.phase} {row.attempt_id}")
        self.rows.append(row)

    async def sleep_s(self, seconds: float) -> None:
        self.naps_ms.append(round(seconds * 1_000))
        self.now_ms += self.naps_ms[-1]
        self.while_asleep()

    def new_id(self) -> str:
        return f"attempt-{len([event for event in self.events if event.startswith('started')]) + 1}"

    def caller(self) -> Caller:
        world = Surroundings(lambda: self.now_ms, self.new_id, self.sleep_s)
        return Caller(self, lambda: self.control, world, Backoff(200, 5_000), self.metrics)

    async def complete(self, asked: Dispatch) -> Completion:
        return await self.caller().complete(asked, self.book)

    @property
    def phases(self) -> list[tuple[str, str]]:
        return [(row.attempt_id, row.phase) for row in self.rows]


def world(*script: Reply | ProviderError, other: FakeProvider | None = None, **changes: Any) -> World:
    """`openai-1` does as the script says, `other` answers."""
    return World(providers={"openai-1": FakeProvider(*script), "other": other or FakeProvider()}, **changes)


def answered(completion: Completion) -> Answer:
    assert completion.status == "ok", completion.failure
    assert completion.answer is not None
    return completion.answer


@pytest.mark.asyncio
async def test_the_started_row_is_safe_before_the_provider_is_asked() -> None:
    here = world(saying("Yes."))

    completion = await here.complete(dispatch())

    assert here.events == ["started attempt-1", "ask openai-1"]
    assert answered(completion).output == Output(content="Yes.")
    (row,) = here.rows
    assert (row.cost, row.is_final, row.completed_at_ms) == (UNKNOWN, False, None)


@pytest.mark.asyncio
async def test_when_the_ledger_cannot_be_written_nobody_is_asked() -> None:
    here = world(ledger_breaks_after=0)

    with pytest.raises(LedgerIsDown):
        await here.complete(dispatch())

    assert here.events == []
    assert here.providers["openai-1"].asked == []


@pytest.mark.asyncio
async def test_when_the_ledger_fails_between_two_attempts_there_is_no_second_one() -> None:
    here = world(BUSY, ledger_breaks_after=1)

    with pytest.raises(LedgerIsDown):
        await here.complete(dispatch("openai-1", "other"))

    assert here.events == ["started attempt-1", "ask openai-1"]


@pytest.mark.asyncio
async def test_an_attempt_is_settled_before_the_next_is_started() -> None:
    here = world(BUSY)

    completion = await here.complete(dispatch("openai-1", "other"))

    assert here.events == [
        "started attempt-1",
        "ask openai-1",
        "settled attempt-1",
        "started attempt-2",
        "ask other",
    ]
    assert answered(completion).deployment == "other"
    assert [each.attempt_id for each in completion.attempts] == ["attempt-1", "attempt-2"]


@pytest.mark.asyncio
async def test_every_attempt_has_its_rows_and_the_last_ones_end_is_in_the_completion() -> None:
    here = world(BUSY, LOST, BUSY)

    completion = await here.complete(dispatch(max_attempts=3))

    assert completion.status == "failed"
    assert here.phases == [
        ("attempt-1", "started"),
        ("attempt-1", "settled"),
        ("attempt-2", "started"),
        ("attempt-2", "settled"),
        ("attempt-3", "started"),
    ]
    assert [each.attempt_no for each in completion.attempts] == [1, 2, 3]


@pytest.mark.asyncio
async def test_what_was_turned_away_is_settled_as_free_and_what_was_lost_as_unknown() -> None:
    here = world(BUSY, LOST)

    await here.complete(dispatch(max_attempts=3))

    settled = {row.attempt_id: row.cost for row in here.rows if row.phase == "settled"}
    assert settled == {"attempt-1": FREE, "attempt-2": UNKNOWN}


@pytest.mark.asyncio
async def test_all_that_is_known_of_an_answer_is_in_its_attempt() -> None:
    here = world(saying("Yes."))

    completion = await here.complete(dispatch())

    (made,) = completion.attempts
    assert (made.started_at_ms, made.ended_at_ms) == (NOW_MS + WRITE_MS, NOW_MS + WRITE_MS + CALL_MS)
    assert (made.model, made.model_reported, made.provider_request_id) == ("gpt-5-mini-2026", "fake-1", "req_fake")
    assert (made.usage_source, made.error_class, made.http_status, made.finish_reason) == (
        "provider",
        None,
        200,
        "stop",
    )
    assert made.usage_raw == {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
    assert answered(completion).model == "fake-1"


@pytest.mark.asyncio
async def test_all_that_is_known_of_a_failure_is_in_its_attempt() -> None:
    usage: dict[str, Any] = {"input_tokens": 12}
    cut = Lost(
        "cut_stream",
        "The provider's answer broke off before its end; try again.",
        http_status=200,
        retry_after_ms=40,
        provider_request_id="req-9",
        usage_raw=usage,
        usage_source="partial",
    )
    completion = await world(cut).complete(dispatch(max_attempts=1))

    (made,) = completion.attempts
    assert (made.error_class, made.retryable, made.ambiguous, made.http_status) == ("cut_stream", True, True, 200)
    assert (made.retry_after_ms, made.provider_request_id) == (40, "req-9")
    assert (made.usage_raw, made.usage_source) == (usage, "partial")
    assert completion.failure is not None
    assert completion.failure.message.endswith("try again.")


@pytest.mark.asyncio
async def test_the_completion_carries_all_that_postprocess_needs() -> None:
    slot = slot_of(admitted())
    asked = dispatch().model_copy(update={"slot": slot})

    completion = await world().complete(asked)

    assert (completion.slot, completion.plan, completion.parse_json) == (slot, asked.plan, False)
    assert completion.ticket.stamps["invoke"] == NOW_MS + WRITE_MS + CALL_MS
    assert Completion.decode(completion.encode()) == completion


@pytest.mark.asyncio
async def test_the_provider_is_asked_under_the_attempts_id_with_the_time_that_is_left_after_writing_the_row() -> None:
    here = world()

    await here.complete(dispatch(ticket_=ticket(deadline_ms=NOW_MS + 900, stream=True)))

    (question,) = here.providers["openai-1"].asked
    assert (question.attempt_id, question.model, question.stream) == ("attempt-1", "gpt-5-mini-2026", True)
    assert question.timeout_ms == 900 - WRITE_MS


@pytest.mark.asyncio
async def test_a_question_that_is_refused_is_asked_nowhere_else() -> None:
    here = world(Unacceptable("bad_request", "The provider refused (HTTP 400).", http_status=400))

    completion = await here.complete(dispatch("openai-1", "other"))

    assert completion.status == "failed"
    assert here.events == ["started attempt-1", "ask openai-1"]


@pytest.mark.asyncio
async def test_a_deployment_that_cannot_answer_is_passed_over_for_the_next() -> None:
    here = world(Misconfigured("authentication", "The key is wrong.", http_status=401))

    assert answered(await here.complete(dispatch("openai-1", "other"))).deployment == "other"


@pytest.mark.asyncio
async def test_a_deployment_removed_meanwhile_counts_as_an_attempt_that_failed() -> None:
    here = world(control=with_object(ControlView(), deployment("other"), 1))

    completion = await here.complete(dispatch("openai-1", "other"))

    assert [each.error_class for each in completion.attempts] == ["not_found", None]
    assert here.providers["openai-1"].asked == []


@pytest.mark.asyncio
async def test_between_attempts_on_one_target_there_is_a_pause() -> None:
    here = world(BUSY, BUSY)

    answered(await here.complete(dispatch(max_attempts=3)))

    first, second = here.naps_ms
    assert 100 <= first + WRITE_MS <= 200
    assert 200 <= second + WRITE_MS <= 400


@pytest.mark.asyncio
async def test_a_long_wait_is_slept_in_short_naps() -> None:
    told = TurnedAway("rate_limited", "wait", http_status=429, retry_after_ms=3_500)
    here = world(told)

    answered(await here.complete(dispatch(max_attempts=2)))

    assert max(here.naps_ms) <= LONGEST_NAP_MS
    assert sum(here.naps_ms) + WRITE_MS == 3_500


@pytest.mark.asyncio
async def test_a_breaker_that_closes_early_ends_the_wait_for_it() -> None:
    here = world(control=control(breaker(until_ms=NOW_MS + 60_000)))

    def close_after_three_naps() -> None:
        if len(here.naps_ms) == 3:
            here.control = with_object(here.control, breaker(until_ms=0, state="closed"), 99)

    here.while_asleep = close_after_three_naps

    answered(await here.complete(dispatch()))

    assert here.naps_ms == [LONGEST_NAP_MS] * 3


@pytest.mark.asyncio
async def test_who_waits_for_a_breaker_in_vain_expires_at_its_deadline_without_a_call() -> None:
    here = world(control=control(breaker(until_ms=NOW_MS + 60_000)))

    completion = await here.complete(dispatch(ticket_=ticket(deadline_ms=NOW_MS + 2_500)))

    assert (completion.status, completion.attempts, here.rows) == ("expired", (), [])
    assert here.now_ms == NOW_MS + 2_500


@pytest.mark.asyncio
async def test_a_request_that_comes_too_late_is_not_asked() -> None:
    here = world()

    completion = await here.complete(dispatch(ticket_=ticket(deadline_ms=NOW_MS)))

    assert (completion.status, completion.attempts, here.events) == ("expired", (), [])


@pytest.mark.asyncio
async def test_a_deadline_that_passes_while_the_row_is_written_ends_the_request_before_the_question_is_sent() -> None:
    here = world()

    completion = await here.complete(dispatch("openai-1", "other", ticket_=ticket(deadline_ms=NOW_MS + WRITE_MS)))

    assert here.events == ["started attempt-1"]
    assert completion.status == "expired"
    (made,) = completion.attempts
    assert (made.error_class, made.ambiguous) == ("timeout", False)


@pytest.mark.asyncio
async def test_a_call_that_is_cancelled_leaves_its_started_row_and_nothing_else() -> None:
    asked = asyncio.Event()

    async def hang() -> None:
        asked.set()
        await asyncio.Event().wait()

    here = world(before_asking=hang)
    call = asyncio.create_task(here.complete(dispatch("openai-1", "other")))
    async with asyncio.timeout(5):
        await asked.wait()

    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call
    assert here.phases == [("attempt-1", "started")]
    assert here.rows[0].cost == UNKNOWN


@pytest.mark.asyncio
async def test_a_free_attempt_is_settled_before_the_pause_that_follows_and_only_once() -> None:
    here = world(BUSY)
    seen: list[list[tuple[str, str]]] = []
    here.while_asleep = lambda: seen.append(here.phases)

    answered(await here.complete(dispatch(max_attempts=2)))

    assert seen[0] == [("attempt-1", "started"), ("attempt-1", "settled")]
    assert here.phases == [*seen[0], ("attempt-2", "started")]
    assert here.rows[1].cost == FREE


@dataclass
class Crowd:
    """Providers that answer only when told to, and how many were asked at the same time."""

    asking: int = 0
    most: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    queued: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def __call__(self) -> None:
        self.asking += 1
        self.most = max(self.most, self.asking)
        self.asked.release()
        await self.gate.wait()
        self.asking -= 1

    @contextmanager
    def aside(self) -> Generator[None]:
        self.queued.set()
        yield

    async def await_queued(self) -> None:
        async with asyncio.timeout(5):
            await self.queued.wait()

    async def await_asked(self, times: int) -> None:
        async with asyncio.timeout(5):
            for _ in range(times):
                await self.asked.acquire()


def crowded(limit: int, crowd: Crowd) -> World:
    return world(control=control(deployment("openai-1", max_concurrency=limit)), before_asking=crowd)


@pytest.mark.asyncio
async def test_more_calls_than_a_deployment_takes_at_once_queue_and_all_succeed() -> None:
    crowd = Crowd()
    here = crowded(2, crowd)
    caller = here.caller()
    calls = [asyncio.create_task(caller.complete(dispatch(ticket_=ticket(f"r-{n}")), here.book)) for n in range(5)]
    await crowd.await_asked(2)
    started = len(here.rows)

    crowd.gate.set()

    assert [(await call).status for call in calls] == ["ok"] * 5
    assert started == 2, "who queues has no row yet"
    assert crowd.most == 2


@pytest.mark.asyncio
async def test_the_wait_for_a_place_is_not_the_providers_time() -> None:
    crowd = Crowd()
    here = crowded(1, crowd)
    caller = here.caller()
    first = asyncio.create_task(caller.complete(dispatch(), here.book))
    await crowd.await_asked(1)
    second = asyncio.create_task(caller.complete(dispatch(), here.book, crowd.aside))
    await crowd.await_queued()

    here.now_ms += 60_000
    crowd.gate.set()
    await first

    (made,) = (await second).attempts
    assert (made.ended_at_ms or 0) - made.started_at_ms == CALL_MS


@pytest.mark.asyncio
async def test_a_raised_limit_holds_for_whoever_comes_next() -> None:
    crowd = Crowd()
    here = crowded(1, crowd)
    caller = here.caller()
    calls = [asyncio.create_task(caller.complete(dispatch(), here.book)) for _ in range(2)]
    await crowd.await_asked(1)

    here.control = control(deployment("openai-1", max_concurrency=3))
    calls.append(asyncio.create_task(caller.complete(dispatch(), here.book)))
    await crowd.await_asked(2)

    assert crowd.asking == 3
    crowd.gate.set()
    await asyncio.gather(*calls)


@pytest.mark.asyncio
async def test_whoever_queues_past_its_deadline_expires_without_a_call_and_keeps_no_place() -> None:
    crowd = Crowd()
    here = crowded(1, crowd)
    caller = here.caller()
    first = asyncio.create_task(caller.complete(dispatch(), here.book))
    await crowd.await_asked(1)
    late = asyncio.create_task(
        caller.complete(dispatch(ticket_=ticket(deadline_ms=NOW_MS + 40)), here.book, crowd.aside)
    )
    await crowd.await_queued()
    here.now_ms = NOW_MS + 40

    assert (await late).status == "expired"
    assert here.phases == [("attempt-1", "started")]
    crowd.gate.set()
    await first
    assert (await caller.complete(dispatch(), here.book)).status == "ok"


@pytest.mark.asyncio
async def test_a_breaker_that_opened_while_one_queued_is_obeyed() -> None:
    crowd = Crowd()
    here = crowded(1, crowd)
    caller = here.caller()
    first = asyncio.create_task(caller.complete(dispatch(), here.book))
    await crowd.await_asked(1)
    second = asyncio.create_task(caller.complete(dispatch(), here.book, crowd.aside))
    await crowd.await_queued()

    here.control = with_object(here.control, breaker(until_ms=NOW_MS + 3_000), 99)
    crowd.gate.set()
    await asyncio.gather(first, second)

    assert here.naps_ms, "the breaker was not waited for"
    assert crowd.most == 1


@pytest.mark.asyncio
async def test_whoever_is_cancelled_in_the_queue_leaves_it_to_the_next() -> None:
    crowd = Crowd()
    here = crowded(1, crowd)
    caller = here.caller()
    calls = [asyncio.create_task(caller.complete(dispatch(), here.book))]
    await crowd.await_asked(1)
    calls += [asyncio.create_task(caller.complete(dispatch(), here.book, crowd.aside)) for _ in range(2)]
    await crowd.await_queued()

    calls[1].cancel()
    await asyncio.wait([calls[1]])
    crowd.gate.set()

    assert [(await calls[n]).status for n in (0, 2)] == ["ok", "ok"]
    assert len(here.rows) == 2


@pytest.mark.asyncio
async def test_an_error_no_provider_may_raise_is_not_taken_for_an_answer() -> None:
    async def break_down() -> None:
        raise RuntimeError("a bug")

    here = world(before_asking=break_down)

    with pytest.raises(RuntimeError, match="a bug"):
        await here.complete(dispatch())

    assert here.phases == [("attempt-1", "started")]


@pytest.mark.asyncio
async def test_calls_are_counted_by_where_and_how_they_ended() -> None:
    here = world(BUSY)

    await here.complete(dispatch("openai-1", "other"))

    counted = {
        (sample.labels["deployment"], sample.labels["result"]): sample.value
        for metric in here.metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "millrace_attempts_total"
    }
    assert counted == {("openai-1", "overloaded"): 1, ("other", "ok"): 1}


@pytest.mark.asyncio
async def test_pauses_differ_between_requests_and_are_the_same_for_one() -> None:
    naps: list[tuple[int, ...]] = []
    for request_id in ("r-1", "r-1", "r-2", "r-3", "r-4"):
        here = world(BUSY)
        await here.complete(dispatch(ticket_=ticket(request_id)))
        naps.append(tuple(here.naps_ms))

    assert naps[0] == naps[1]
    assert len(set(naps)) > 2


@pytest.mark.asyncio
async def test_nothing_of_the_question_is_on_the_ledger() -> None:
    here = world(BUSY, LOST)

    completion = await here.complete(dispatch())

    assert all(PROMPT_CANARY not in row.encode().decode() for row in here.rows)
    assert all(PROMPT_CANARY not in each.encode().decode() for each in completion.attempts)
    assert all(isinstance(each, Attempt) for each in completion.attempts)

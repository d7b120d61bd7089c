"""Calls end in any order, and still no request is lost, asked twice needlessly, or committed before its time."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError
from typing_extensions import override

from schemas.call import CallRow
from schemas.control import Deployment
from schemas.flow import Completion
from schemas.topics import CALLS, COMPLETIONS, CONTROL, DEAD_LETTERS, DISPATCH
from scripts.stack.readiness import holds_within
from streams.clock import now_ms
from streams.providers.protocol import Question, Reply
from streams.runtime.worker import DrainTimeoutError
from streams.settings import KafkaSettings
from tests.integration.invoke_bench import Desk, InvokeBench
from tests.integration.kafka_log import WITHIN_S
from tests.unit.examples import breaker, deployment

pytestmark = pytest.mark.integration
NORMAL = DISPATCH["normal"]
FOR_EVER_MS = 3_600_000


@pytest.fixture
def bench(kafka: KafkaSettings) -> Iterator[InvokeBench]:
    with InvokeBench(kafka) as bench:
        bench.prepare()
        yield bench


def phases(bench: InvokeBench) -> dict[str, list[str]]:
    """What the ledger topic says of each request's attempts."""
    found: dict[str, list[str]] = {}
    for row in bench.log.events(CALLS, CallRow):
        found.setdefault(row.request_id, []).append(row.phase)
    return found


def test_calls_end_in_any_order_and_only_the_contiguous_run_is_committed(bench: InvokeBench) -> None:
    desk = Desk("slow")
    bench.dispatch("first", "slow", "quick", "quicker")
    bench.start_invoke(desk)
    bench.await_completed("first", "quick", "quicker")
    bench.log.await_committed("invoke", NORMAL, {0: 1})

    desk.release("slow")

    bench.await_completed("first", "slow", "quick", "quicker")
    bench.log.await_committed("invoke", NORMAL, {0: 4})
    assert phases(bench) == {name: ["started"] for name in ("first", "slow", "quick", "quicker")}


def test_a_request_in_flight_or_completed_is_not_asked_again(bench: InvokeBench) -> None:
    desk = Desk("twice")
    bench.dispatch("twice", "twice", "twice", "once")
    first = bench.start_invoke(desk)
    desk.await_asked("twice", "once")
    desk.release("twice")
    bench.log.await_committed("invoke", NORMAL, {0: 4})
    bench.dispatch("twice")
    bench.log.await_committed("invoke", NORMAL, {0: 5})
    first.stop()

    bench.log.rewind("invoke", NORMAL, {0: 0})  # a worker that died before it could commit
    bench.start_invoke(desk)

    bench.log.await_committed("invoke", NORMAL, {0: 5})
    assert sorted(desk.asked) == ["once", "twice"]
    assert bench.completed() == ["once", "twice"]


def test_a_lane_that_is_full_does_not_delay_the_others(bench: InvokeBench) -> None:
    desk = Desk("low-0", "low-1", "low-2")
    bench.dispatch("low-0", "low-1", "low-2", priority="low")
    worker = bench.start_invoke(desk, lanes=(1, 1, 2))
    desk.await_asked("low-0", "low-1")

    bench.dispatch("high-0", "high-1", priority="high")
    bench.dispatch("normal-0")

    bench.await_completed("high-0", "high-1", "normal-0")
    assert "low-2" not in desk.asked
    assert holds_within(WITHIN_S, lambda: worker.metric("millrace_in_flight", stage="invoke", lane="low") == 2)
    desk.release("low-0", "low-1")
    desk.await_asked("low-2")
    desk.release("low-2")


def test_a_worker_told_to_stop_finishes_the_calls_it_has_begun(bench: InvokeBench) -> None:
    desk = Desk("begun")
    bench.dispatch("begun")
    worker = bench.start_invoke(desk)
    desk.await_asked("begun")

    worker.ask_to_stop()
    assert holds_within(WITHIN_S, lambda: worker.progress.health().state == "stopping")
    desk.release("begun")

    assert worker.ended() is None
    assert bench.completed() == ["begun"]
    bench.start_invoke(desk)  # it had left its group, so what it completed since then is the next one's to commit
    bench.log.await_committed("invoke", NORMAL, {0: 1})
    assert desk.asked == ["begun"]


def test_a_call_that_outlasts_the_drain_is_cancelled_stays_on_the_ledger_and_is_made_again(bench: InvokeBench) -> None:
    desk = Desk("endless")
    bench.dispatch("endless", "after")
    worker = bench.start_invoke(desk, drain_ms=100)
    bench.await_completed("after")
    worker.stop()
    assert desk.cancelled == ["endless"]
    assert bench.log.committed("invoke", NORMAL) == {}
    assert phases(bench)["endless"] == ["started"]

    second = Desk()
    bench.start_invoke(second)

    bench.log.await_committed("invoke", NORMAL, {0: 2})
    assert second.asked == ["endless"]
    assert phases(bench)["endless"] == ["started", "started"]


def test_partitions_move_while_calls_are_in_flight_and_no_call_is_made_twice(bench: InvokeBench) -> None:
    names = [f"r-{n}" for n in range(8)]
    desk = Desk(*names)
    bench.dispatch(*names[:4], partition=0)
    bench.dispatch(*names[4:], partition=1)
    first = bench.start_invoke(desk)
    desk.await_asked(*names)

    second = bench.start_invoke(desk)
    assert holds_within(WITHIN_S, lambda: bench.log.members("invoke") == 2)
    desk.release(*names)
    bench.await_completed(*names)
    second.await_running()
    bench.dispatch("later-0", partition=0)
    bench.dispatch("later-1", partition=1)

    bench.log.await_committed("invoke", NORMAL, {0: 5, 1: 5})
    assert sorted(desk.asked) == sorted([*names, "later-0", "later-1"])
    assert first.metric("millrace_attempts_total", deployment="openai-1", model="gpt-5-mini-2026", result="ok") == 9
    assert second.metric("millrace_attempts_total", deployment="openai-1", model="gpt-5-mini-2026", result="ok") == 1


def test_hundreds_of_calls_longer_than_the_session_keep_their_partitions(bench: InvokeBench) -> None:
    names = [f"r-{n}" for n in range(240)]
    desk = Desk(*names)
    bench.dispatch(*names[:120], partition=0)
    bench.dispatch(*names[120:], partition=1)
    worker = bench.start_invoke(desk, lanes=(1, 240, 1))
    desk.await_asked(*names)
    began_s = time.monotonic()
    assert holds_within(WITHIN_S, lambda: time.monotonic() - began_s > bench.kafka.session_timeout_ms / 1000)

    desk.release(*names)

    bench.log.await_committed("invoke", NORMAL, {0: 120, 1: 120})
    assert len(desk.asked) == 240
    assert bench.completed() == sorted(names)
    assert worker.progress.health().ok


def test_what_cannot_be_handled_is_kept_and_its_requester_is_told(bench: InvokeBench) -> None:
    bench.log.write(COMPLETIONS, b"not a completion")  # keeps no worker from starting
    bench.log.write(NORMAL, b"not a dispatch", headers=[("authorization", b"Bearer sk-canary")])
    desk = Desk(broken=["broken"])
    bench.dispatch("broken", "broken", "sound")

    bench.start_invoke(desk)

    bench.log.await_committed("invoke", NORMAL, {0: 4})
    unreadable, failed = (dict(letter.headers) for letter in bench.log.read(DEAD_LETTERS))
    assert (unreadable["millrace-reason"], unreadable["millrace-offset"]) == (b"unreadable", b"0")
    assert "authorization" not in unreadable
    assert (failed["millrace-reason"], failed["millrace-offset"]) == (b"decision_failed", b"1")
    # the second `broken` repeats a request that has been told of its end
    completions = [Completion.decode(record.value or b"") for record in bench.log.read(COMPLETIONS) if record.key]
    assert {c.ticket.request_id: c.status for c in completions} == {"broken": "failed", "sound": "ok"}
    assert len(completions) == 2


class LosesFirstCommit(AIOKafkaConsumer):
    failed = 0

    @override
    async def commit(self, offsets: Any = None) -> None:
        if not self.failed:
            self.failed += 1
            raise CommitFailedError
        await super().commit(offsets)


def test_a_commit_that_failed_is_not_remembered_as_done(bench: InvokeBench) -> None:
    bench.dispatch("only")
    bench.start_invoke(Desk(), consumer_type=LosesFirstCommit)
    bench.log.await_committed("invoke", NORMAL, {0: 1})


class FetchesTooSoon(AIOKafkaConsumer):
    """A fetch that was under way when partitions were assigned is given records before the worker knows of them."""

    @override
    async def committed(self, partition: TopicPartition) -> Any:
        await self.getmany(partition, timeout_ms=200)
        return cast("int | None", await super().committed(partition))


def test_what_is_fetched_while_an_assignment_is_prepared_is_not_lost(bench: InvokeBench) -> None:
    bench.dispatch("early-0", "early-1", "early-2")
    bench.start_invoke(Desk(), consumer_type=FetchesTooSoon)
    bench.await_completed("early-0", "early-1", "early-2")


def test_a_request_that_only_waits_is_let_go_at_once_and_taken_again_by_the_next(bench: InvokeBench) -> None:
    bench.log.write(CONTROL, breaker(until_ms=now_ms() + 3_600_000), key="breaker/openai-1")
    bench.dispatch("waits")
    worker = bench.start_invoke(Desk(), drain_ms=FOR_EVER_MS)
    assert holds_within(WITHIN_S, lambda: worker.metric("millrace_in_flight", stage="invoke", lane="normal") == 1)

    worker.stop()

    assert bench.log.committed("invoke", NORMAL) == {}
    assert bench.completed() == []
    bench.log.write(CONTROL, breaker(until_ms=0, state="closed"), key="breaker/openai-1")
    bench.log.flush()
    bench.start_invoke(Desk())
    bench.await_completed("waits")


def test_requests_queue_for_a_busy_deployment_beside_their_lane_and_those_queueing_are_let_go(
    bench: InvokeBench,
) -> None:
    bench.log.write(CONTROL, deployment(max_concurrency=1), key="deployment/openai-1")
    desk = Desk("calls")
    bench.dispatch("calls", "queues-0", "queues-1")
    worker = bench.start_invoke(desk, lanes=(1, 2, 1), drain_ms=FOR_EVER_MS)
    desk.await_asked("calls")
    # one queues beside the lane, and the other was set back
    assert holds_within(WITHIN_S, lambda: worker.metric("millrace_in_flight", stage="invoke", lane="normal") == 2)
    assert holds_within(WITHIN_S, lambda: worker.metric("millrace_waiting", lane="normal") == 1)

    worker.ask_to_stop()
    assert holds_within(WITHIN_S, lambda: worker.progress.health().state == "stopping")
    desk.release("calls")

    assert worker.ended() is None
    assert desk.asked == ["calls"]
    assert bench.completed() == ["calls"]
    assert phases(bench) == {"calls": ["started"]}


class NeverCommits(AIOKafkaConsumer):
    """As while the broker is away: aiokafka tries again for ever."""

    @override
    async def commit(self, offsets: Any = None) -> None:
        await asyncio.Event().wait()


class CommitsOnce(NeverCommits):
    """To be counted on; then never again."""

    has_committed = False

    @override
    async def commit(self, offsets: Any = None) -> None:
        if self.has_committed:
            await super().commit(offsets)
        self.has_committed = True


def test_commits_that_are_never_taken_show_in_health_and_end_the_worker_when_it_is_told_to_stop(
    bench: InvokeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.invoke.offsets.COMMIT_S", 0.1)
    monkeypatch.setattr("streams.invoke.offsets.COMMITS_FAIL_MS", 0)
    monkeypatch.setattr("streams.invoke.worker.UNHEARD_S", -2 * WITHIN_S)
    bench.dispatch("only")
    worker = bench.start_invoke(Desk(), consumer_type=CommitsOnce)
    bench.await_completed("only")

    assert holds_within(WITHIN_S, lambda: worker.progress.health().idle_ms > 500)
    assert worker.progress.health().in_flight == 1
    worker.ask_to_stop()

    assert isinstance(worker.ended(), DrainTimeoutError)


def test_whose_first_commit_is_never_taken_asks_nobody_and_shows_it_in_health(
    bench: InvokeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.invoke.offsets.COMMIT_S", 0.1)
    monkeypatch.setattr("streams.invoke.offsets.COMMITS_FAIL_MS", 0)
    bench.dispatch("only")
    desk = Desk()
    worker = bench.start_invoke(desk, consumer_type=NeverCommits)

    assert holds_within(
        WITHIN_S, lambda: worker.progress.health().in_flight == 1 and worker.progress.health().idle_ms > 500
    )
    worker.ask_to_stop()

    assert worker.ended() is None
    assert desk.asked == []


class Stubborn(Desk):
    """Does not hear the first time that it is cancelled."""

    @override
    async def ask(self, deployment: Deployment, question: Question) -> Reply:
        try:
            return await super().ask(deployment, question)
        except asyncio.CancelledError:
            return await super().ask(deployment, question)


def test_a_call_that_cannot_be_cancelled_ends_the_worker_with_an_error(
    bench: InvokeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.invoke.pool.CANCEL_S", 0.1)
    desk = Stubborn("endless")
    bench.dispatch("endless")
    worker = bench.start_invoke(desk, drain_ms=0)
    desk.await_asked("endless")

    worker.ask_to_stop()

    assert isinstance(worker.ended(), DrainTimeoutError)

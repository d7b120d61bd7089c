"""Partitions move while calls are in flight: nobody waits for the calls, and nobody makes them again."""

import time
from collections.abc import Iterator

import pytest

from schemas.call import CallRow
from schemas.flow import Completion, HandedOver
from schemas.topics import CALLS, COMPLETIONS, DISPATCH, HANDOVERS
from scripts.stack.readiness import holds_within
from streams.clock import now_ms
from streams.invoke.clients import consumer_options
from streams.settings import KafkaSettings
from tests.integration.invoke_bench import Desk, InvokeBench
from tests.integration.kafka_log import WITHIN_S
from tests.unit.examples import completion, ticket

pytestmark = pytest.mark.integration
NORMAL = DISPATCH["normal"]
LONG_MS = 3_600_000


@pytest.fixture
def bench(kafka: KafkaSettings) -> Iterator[InvokeBench]:
    with InvokeBench(kafka) as bench:
        bench.prepare()
        yield bench


@pytest.fixture
def wide(kafka: KafkaSettings) -> Iterator[InvokeBench]:
    """With partitions for four workers."""
    with InvokeBench(kafka.model_copy(update={"partitions": 4})) as bench:
        bench.prepare()
        yield bench


def phases(bench: InvokeBench, name: str) -> list[str]:
    return [row.phase for row in bench.log.events(CALLS, CallRow) if row.request_id == name]


def handed_over(name: str, until_ms: int | None, worker: str = "another") -> HandedOver:
    return HandedOver(identity=f"acme/{name}", worker=worker, until_ms=until_ms)


def await_members(bench: InvokeBench, count: int) -> None:
    assert holds_within(WITHIN_S, lambda: bench.log.members("invoke") == count), bench.log.members("invoke")


def test_a_call_longer_than_every_timeout_of_the_group_survives_a_scale_out_without_stalling_it(
    bench: InvokeBench,
) -> None:
    left, right = bench.ids(0, 3), bench.ids(1, 3)
    desk = Desk(left[0], right[0])
    bench.dispatch(*left[:1], partition=0, timeout_ms=LONG_MS)
    bench.dispatch(*right[:1], partition=1, timeout_ms=LONG_MS)
    bench.start_invoke(desk, drain_ms=LONG_MS)
    desk.await_asked(left[0], right[0])
    began_s = time.monotonic()

    bench.start_invoke(desk, drain_ms=LONG_MS)
    await_members(bench, 2)
    bench.dispatch(left[1], partition=0)
    bench.dispatch(right[1], partition=1)
    bench.await_completed(left[1], right[1])

    options = consumer_options(bench.kafka, "invoke")
    longest_s = max(options["session_timeout_ms"], options["rebalance_timeout_ms"]) / 1000
    assert holds_within(longest_s + WITHIN_S, lambda: time.monotonic() - began_s > longest_s + 1)
    bench.dispatch(left[2], partition=0)
    bench.dispatch(right[2], partition=1)
    bench.await_completed(*left[1:], *right[1:])
    assert bench.log.committed("invoke", NORMAL) == {}
    desk.release(left[0], right[0])
    bench.await_completed(*left, *right)
    bench.log.await_committed("invoke", NORMAL, {0: 3, 1: 3})
    assert sorted(desk.asked) == sorted([*left, *right])
    assert bench.log.members("invoke") == 2


def test_from_one_worker_to_four_and_back_every_request_is_called_for_once(wide: InvokeBench) -> None:
    names = {partition: wide.ids(partition, 4) for partition in range(4)}
    everyone = [name for each in names.values() for name in each]
    desk = Desk(*everyone)

    def dispatch(number: int) -> None:
        for partition, each in names.items():
            wide.dispatch(each[number], partition=partition)
        desk.await_asked(*(each[number] for each in names.values()))

    workers = [wide.start_invoke(desk, drain_ms=LONG_MS)]
    dispatch(0)
    workers += [wide.start_invoke(desk, drain_ms=LONG_MS) for _ in range(3)]
    await_members(wide, 4)
    dispatch(1)
    for worker in workers[:2]:
        worker.ask_to_stop()
    await_members(wide, 2)
    dispatch(2)
    workers[2].ask_to_stop()
    await_members(wide, 1)
    dispatch(3)

    desk.release(*everyone)

    wide.await_completed(*everyone)
    wide.log.await_committed("invoke", NORMAL, dict.fromkeys(range(4), 4))
    assert sorted(desk.asked) == sorted(everyone)
    assert [worker.ended() for worker in workers[:3]] == [None] * 3
    assert desk.cancelled == []


def test_a_rolling_restart_doubles_no_call_and_delays_no_other(bench: InvokeBench) -> None:
    left, right = bench.ids(0, 4), bench.ids(1, 4)
    desk = Desk(left[0], right[0])
    bench.dispatch(left[0], partition=0)
    bench.dispatch(right[0], partition=1)
    old = [bench.start_invoke(desk, drain_ms=LONG_MS) for _ in range(2)]
    await_members(bench, 2)
    desk.await_asked(left[0], right[0])

    for number, worker in enumerate(old, 1):
        bench.start_invoke(desk)
        worker.ask_to_stop()
        bench.dispatch(left[number], partition=0)
        bench.dispatch(right[number], partition=1)
        desk.await_asked(left[number], right[number])
    await_members(bench, 2)
    desk.release(left[0], right[0])

    assert [worker.ended() for worker in old] == [None, None]
    bench.await_completed(*left[:3], *right[:3])
    bench.log.await_committed("invoke", NORMAL, {0: 3, 1: 3})
    assert sorted(desk.asked) == sorted([*left[:3], *right[:3]])


def test_a_worker_that_gets_its_partition_back_waits_for_its_own_call(bench: InvokeBench) -> None:
    (name,) = bench.ids(0, 1)
    desk = Desk(name)
    bench.dispatch(name, partition=0)
    bench.start_invoke(desk, drain_ms=LONG_MS)
    desk.await_asked(name)
    guest = bench.start_invoke(desk)
    await_members(bench, 2)
    guest.await_running().stop()
    await_members(bench, 1)

    desk.release(name)

    bench.await_completed(name)
    bench.log.await_committed("invoke", NORMAL, {0: 1})
    assert desk.asked == [name]


def test_what_a_dead_worker_had_handed_over_is_called_for_when_its_call_must_have_ended(bench: InvokeBench) -> None:
    dead, other = bench.ids(0, 2)
    desk = Desk()
    bench.dispatch(dead, other, partition=0)
    until_ms = now_ms() + 4_000
    bench.log.write(HANDOVERS, handed_over(dead, until_ms), key=dead)
    bench.log.flush()

    bench.start_invoke(desk)

    bench.await_completed(other)
    assert now_ms() >= until_ms or dead not in desk.asked
    bench.await_completed(dead, other)
    assert now_ms() >= until_ms
    assert desk.asked == [other, dead]
    bench.log.await_committed("invoke", NORMAL, {0: 2})


def test_what_is_called_for_elsewhere_is_waited_for_until_it_is_completed_or_given_up(bench: InvokeBench) -> None:
    completed, given_up, renewed = bench.ids(0, 3)
    desk = Desk()
    far_ms = now_ms() + LONG_MS
    bench.dispatch(completed, given_up, renewed, partition=0)
    for name in (completed, given_up, renewed):
        bench.log.write(HANDOVERS, handed_over(name, far_ms), key=name)
    bench.log.write(HANDOVERS, handed_over(given_up, far_ms, "a third"), key=given_up)
    bench.log.flush()
    worker = bench.start_invoke(desk).await_running()
    assert holds_within(WITHIN_S, lambda: worker.metric("millrace_in_flight", stage="invoke", lane="normal") == 3)

    bench.log.write(COMPLETIONS, completion(ticket=ticket(completed)), key=completed)
    bench.log.write(HANDOVERS, handed_over(given_up, None), key=given_up)
    bench.log.flush()
    bench.log.await_committed("invoke", NORMAL, {0: 1})
    assert desk.asked == []
    bench.log.write(HANDOVERS, handed_over(given_up, None, "a third"), key=given_up)
    bench.log.flush()

    desk.await_asked(given_up)
    bench.log.await_committed("invoke", NORMAL, {0: 2})
    bench.log.write(COMPLETIONS, b"not a completion", key=renewed)
    bench.log.write(COMPLETIONS, completion(ticket=ticket(renewed)), key=renewed)
    bench.log.flush()
    bench.log.await_committed("invoke", NORMAL, {0: 3})
    assert desk.asked == [given_up]


def test_a_call_that_is_cut_at_the_end_of_the_drain_is_given_up_to_whoever_waits_for_it(bench: InvokeBench) -> None:
    (name,) = bench.ids(0, 1)
    endless, second = Desk(name), Desk()
    bench.dispatch(name, partition=0)
    first = bench.start_invoke(endless, drain_ms=2_000)
    endless.await_asked(name)
    bench.start_invoke(second)
    await_members(bench, 2)

    first.ask_to_stop()

    second.await_asked(name)
    assert first.ended() is None
    assert endless.cancelled == [name]
    bench.await_completed(name)
    assert phases(bench, name) == ["started", "started"]
    told = [event.until_ms is None for event in bench.log.events(HANDOVERS, HandedOver)]
    assert told == [False, True]
    assert [each.status for each in bench.log.events(COMPLETIONS, Completion)] == ["ok"]

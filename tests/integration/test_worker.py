"""The loop of the synchronous stages moves an offset only over events whose records are safe, and loses nothing."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from schemas.topics import COMPLETIONS, DEAD_LETTERS, MISSES
from scripts.stack.readiness import holds_within
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import Absorb, Outcome
from streams.runtime.stage import View
from streams.runtime.worker import DrainTimeoutError
from streams.settings import KafkaSettings
from tests.integration.kafka_log import WITHIN_S
from tests.integration.refusing_clients import RefusingClients
from tests.integration.worker_thread import Bench, Note, passed_on, toy

pytestmark = pytest.mark.integration
FLOOD = 10_000


@pytest.fixture
def bench(kafka: KafkaSettings) -> Iterator[Bench]:
    with Bench(kafka) as bench:
        bench.configure()
        bench.log.create(MISSES, DEAD_LETTERS)
        yield bench


def write_notes(bench: Bench, count: int) -> None:
    """Of seven keys; a key's notes are on one partition, numbered in order."""
    for number in range(count):
        key = number % 7
        bench.log.write(MISSES, Note(id=f"key-{key}", text=str(number)), partition=key % 2)
    bench.log.flush()


def numbers_by_key(records: list[Delivery]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for record in records:
        note = Note.decode(record.value or b"")
        found[note.id].append(int(note.text))
    return found


def event_ids(records: list[Delivery]) -> set[bytes | None]:
    return {dict(record.headers)["ce_id"] for record in records}


def test_every_event_is_passed_on_once_in_its_keys_order_and_then_committed(bench: Bench) -> None:
    bench.log.create(COMPLETIONS)
    write_notes(bench, 140)

    worker = bench.start(toy(passed_on), batch_size=16)

    bench.log.await_committed("route", MISSES, {0: 80, 1: 60})
    assert numbers_by_key(bench.log.read(COMPLETIONS)) == {f"key-{k}": list(range(k, 140, 7)) for k in range(7)}
    assert holds_within(
        WITHIN_S, lambda: worker.metric("millrace_events_total", stage="route", outcome="forward") == 140
    )
    worker.stop()


def test_a_flood_in_one_partition_does_not_stand_before_what_comes_to_another(bench: Bench) -> None:
    for number in range(FLOOD):
        bench.log.write(MISSES, Note(id="flood", text=str(number)), partition=0)
    bench.log.flush()
    decided: list[str] = []
    has_begun, may_go_on = threading.Event(), threading.Event()

    def decide(note: Note, _view: View[Any]) -> Outcome:
        decided.append(note.id)
        if len(decided) == 100:
            has_begun.set()
            may_go_on.wait(WITHIN_S)
        return Absorb("seen", is_routine=True)

    bench.start(toy(decide), batch_size=100)
    assert has_begun.wait(WITHIN_S)
    bench.log.write(MISSES, Note(id="late"), partition=1)
    bench.log.flush()
    may_go_on.set()

    bench.log.await_committed("route", MISSES, {0: FLOOD, 1: 1})
    assert decided.index("late") < FLOOD / 2


def test_what_a_dead_worker_had_not_committed_is_done_again_under_the_same_event_ids(bench: Bench) -> None:
    bench.log.create(COMPLETIONS)
    write_notes(bench, 14)
    first = bench.start(toy(passed_on))
    bench.log.await_committed("route", MISSES, {0: 8, 1: 6})
    first.stop()
    before = bench.log.read(COMPLETIONS)

    bench.log.rewind("route", MISSES, {0: 2, 1: 6})
    bench.start(toy(passed_on))

    bench.log.await_committed("route", MISSES, {0: 8, 1: 6})
    after = bench.log.read(COMPLETIONS)
    assert len(after) == len(before) + 6
    assert event_ids(after) == event_ids(before)


# A topic that is not there yet takes nothing and refuses nothing: the broker answers everything else, the group lives.


def test_nothing_is_committed_before_the_broker_has_acknowledged_what_it_led_to(bench: Bench) -> None:
    write_notes(bench, 14)
    worker = bench.start(toy(passed_on))
    assert holds_within(WITHIN_S, lambda: worker.progress.health().in_flight > 0)
    assert set(bench.log.committed("route", MISSES).values()) <= {0}  # the beginning: proof that it is in the group

    bench.log.create(COMPLETIONS)

    bench.log.await_committed("route", MISSES, {0: 8, 1: 6})
    assert numbers_by_key(bench.log.read(COMPLETIONS)) == {f"key-{k}": [k, k + 7] for k in range(7)}


def test_a_worker_told_to_stop_waits_a_bounded_time_for_the_broker_and_ends_without_committing(bench: Bench) -> None:
    write_notes(bench, 14)
    worker = bench.start(toy(passed_on), drain_ms=100)
    assert holds_within(WITHIN_S, lambda: worker.progress.health().in_flight > 0)

    worker.ask_to_stop()

    assert isinstance(worker.ended(), DrainTimeoutError)
    assert set(bench.log.committed("route", MISSES).values()) <= {0}


def test_a_worker_that_ends_with_records_on_their_way_stays_in_its_group_until_brokers_refuse_them(
    bench: Bench,
) -> None:
    """Left at once, its successor would read its state back without what is written a moment later."""
    write_notes(bench, 14)
    worker = bench.start(toy(passed_on), drain_ms=100)
    assert holds_within(WITHIN_S, lambda: worker.progress.health().in_flight > 0)

    worker.ask_to_stop()

    assert isinstance(worker.ended(), DrainTimeoutError)
    assert bench.log.members("route") == 1


def test_a_worker_whose_partitions_are_taken_while_the_broker_does_not_acknowledge_ends_without_committing(
    bench: Bench,
) -> None:
    write_notes(bench, 14)
    worker = bench.start(toy(passed_on), drain_ms=100)
    assert holds_within(WITHIN_S, lambda: worker.progress.health().in_flight > 0)

    bench.start(toy(passed_on))

    assert isinstance(worker.ended(), DrainTimeoutError)
    assert set(bench.log.committed("route", MISSES).values()) <= {0}


def test_an_event_with_nothing_left_to_do_is_committed_too(bench: Bench) -> None:
    def absorbed(_note: Note, _view: View[Any]) -> Outcome:
        return Absorb("done before")

    write_notes(bench, 14)
    bench.start(toy(absorbed))
    bench.log.await_committed("route", MISSES, {0: 8, 1: 6})


@pytest.mark.parametrize("code", [KafkaError._TIMED_OUT, KafkaError.COORDINATOR_LOAD_IN_PROGRESS])
def test_a_commit_that_failed_is_not_remembered_as_done(bench: Bench, code: int) -> None:
    bench.log.create(COMPLETIONS)
    bench.log.write(MISSES, Note(id="only"))
    bench.log.flush()
    bench.start(toy(passed_on), clients=RefusingClients(bench.kafka, code))
    bench.log.await_committed("route", MISSES, {0: 1})


def test_a_commit_that_can_never_succeed_ends_the_worker(bench: Bench) -> None:
    clients = RefusingClients(bench.kafka, KafkaError.GROUP_AUTHORIZATION_FAILED)
    bench.log.create(COMPLETIONS)
    bench.log.write(MISSES, Note(id="only"))
    bench.log.flush()
    assert isinstance(bench.start(toy(passed_on), clients=clients).ended(), KafkaException)
    assert set(bench.log.committed("route", MISSES).values()) <= {0}

"""Events held back keep their offsets open, wake by the table or by their time, and cannot fill the memory."""

from collections.abc import Iterator

import pytest

from schemas.flow import Admitted, Completion
from schemas.topics import ADMITTED, CACHE, COMPLETIONS, DEAD_LETTERS, MISSES
from scripts.stack.readiness import holds_within
from streams.process import now_ms
from streams.settings import KafkaSettings
from streams.stages.cache import STAGE
from tests.integration.cache_fill import write_fill
from tests.integration.kafka_log import WITHIN_S
from tests.integration.worker_thread import Bench
from tests.unit.examples import admitted

pytestmark = pytest.mark.integration


@pytest.fixture
def bench(kafka: KafkaSettings) -> Iterator[Bench]:
    with Bench(kafka) as bench:
        bench.configure()
        bench.log.create(ADMITTED, MISSES, CACHE, COMPLETIONS, DEAD_LETTERS)
        yield bench


def ask(bench: Bench, *events: Admitted) -> None:
    for event in events:
        bench.log.write(ADMITTED, event, key=event.namespace)
    bench.log.flush()


def fill(bench: Bench, event: Admitted) -> None:
    write_fill(bench.log, event)
    bench.log.flush()


def asked(bench: Bench) -> list[str]:
    return [record.key.decode() for record in bench.log.read(MISSES) if record.key]


def test_a_parked_event_holds_the_frontier_until_the_table_wakes_it(bench: Bench) -> None:
    leader = admitted("leader")
    ask(bench, leader, admitted("follower"), admitted("other", text="Something else?"))
    worker = bench.start(STAGE)
    bench.log.read_count(MISSES, 2)
    bench.log.await_finished("cache", ADMITTED, 1)
    assert sorted(asked(bench)) == ["leader", "other"]
    assert worker.progress.health().in_flight == 1

    fill(bench, leader)

    bench.log.await_finished("cache", ADMITTED, 3)
    (woken,) = bench.log.events(COMPLETIONS, Completion)
    assert (woken.ticket.request_id, woken.status, woken.cache) == ("follower", "ok", "coalesced")


def test_a_parked_event_wakes_at_its_time_when_the_table_is_silent(bench: Bench) -> None:
    ask(bench, admitted("leader"), admitted("follower", deadline_ms=now_ms() + 2_500))
    bench.start(STAGE)
    bench.log.await_finished("cache", ADMITTED, 2)
    (expired,) = bench.log.events(COMPLETIONS, Completion)
    assert (expired.ticket.request_id, expired.status) == ("follower", "expired")


def test_what_a_stopped_worker_had_parked_is_taken_again_by_the_next(bench: Bench) -> None:
    leader = admitted("leader")
    ask(bench, leader, admitted("follower"))
    first = bench.start(STAGE)
    bench.log.await_finished("cache", ADMITTED, 1)
    first.stop()
    fill(bench, leader)

    bench.start(STAGE)

    bench.log.await_finished("cache", ADMITTED, 2)
    (answered,) = bench.log.events(COMPLETIONS, Completion)
    assert (answered.ticket.request_id, answered.status) == ("follower", "ok")
    assert asked(bench) == ["leader"]


def test_a_worker_that_holds_back_too_much_takes_no_more_until_some_of_it_is_released(bench: Bench) -> None:
    leader = admitted("leader")
    ask(bench, leader, *(admitted(f"follower-{n}") for n in range(4)), admitted("other", text="Something else?"))
    worker = bench.start(STAGE, max_parked=2, batch_size=1)
    assert holds_within(WITHIN_S, lambda: worker.metric("millrace_parked", stage="cache") == 2)

    # it goes round, and takes none of the four that are left on the topic
    looked = worker.progress.health()
    bench.log.await_finished("cache", ADMITTED, 1)
    assert (looked.in_flight, worker.metric("millrace_parked", stage="cache")) == (2, 2)
    assert asked(bench) == ["leader"]

    fill(bench, leader)

    bench.log.await_finished("cache", ADMITTED, 6)
    assert sorted(asked(bench)) == ["leader", "other"]
    assert len(bench.log.read(COMPLETIONS)) == 4

"""State is back before the first event is decided, as far back as an unfinished event could need it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from schemas.account import Registration
from schemas.cached import Invalidated
from schemas.control import LONGEST_CACHE_TTL_S, Limits, Tenant
from schemas.flow import Admitted, Completion, Miss
from schemas.response import Response
from schemas.topics import (
    ACCOUNTS,
    ADMITTED,
    BUDGETS,
    CACHE,
    CALLS,
    COMPLETIONS,
    CONTROL,
    DEAD_LETTERS,
    DEFERRED,
    MISSES,
    NOTICES,
    RESPONSES,
    VALIDATED,
)
from scripts.stack.readiness import holds_within
from streams.observe.metrics import Metrics
from streams.process import now_ms
from streams.runtime.delivery import Delivery
from streams.runtime.kafka import ConfluentClients, PartitionReader
from streams.runtime.partition import PartitionWork
from streams.runtime.recall import recall
from streams.runtime.restore import TableReader
from streams.settings import KafkaSettings
from streams.stages import cache, limit, postprocess
from streams.state.accounts import Accounts
from streams.state.registered import registered
from tests.fakes.call_rows import call_row
from tests.integration.cache_fill import write_fill
from tests.integration.kafka_log import WITHIN_S
from tests.integration.refusing_clients import RefusingClients
from tests.integration.stage_process import StageProcess
from tests.integration.worker_thread import Bench, Note, passed_on, toy
from tests.unit.examples import accepted, admitted, completion, limited_tenant, ticket

pytestmark = pytest.mark.integration
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@pytest.fixture
def bench(kafka: KafkaSettings) -> Iterator[Bench]:
    with Bench(kafka) as bench:
        bench.configure()
        bench.log.create(DEAD_LETTERS)
        yield bench


def configure(bench: Bench, tenant: Tenant) -> None:
    bench.log.write(CONTROL, tenant, key=f"tenant/{tenant.name}")
    bench.log.flush()


def test_a_new_worker_knows_how_much_of_a_limit_is_used_and_charges_nothing_twice(bench: Bench) -> None:
    configure(bench, limited_tenant(requests_per_minute=1, burst_requests=2))
    bench.log.create(VALIDATED, CALLS, ADMITTED, DEFERRED, NOTICES, ACCOUNTS, BUDGETS, COMPLETIONS)
    for name in ("r-0", "r-1"):
        bench.log.write(VALIDATED, accepted(name), key="acme")
    bench.log.flush()
    first = bench.start(limit.STAGE)
    bench.log.await_finished("limit", VALIDATED, 2)
    first.stop()

    (mine,) = bench.log.committed("limit", VALIDATED)
    bench.log.rewind("limit", VALIDATED, {mine: 1})  # r-1 was charged, and will be taken again
    bench.log.write(VALIDATED, accepted("r-2"), key="acme")
    bench.log.flush()
    second = bench.start(limit.STAGE)

    bench.log.await_finished("limit", VALIDATED, 3)
    assert [event.ticket.request_id for event in bench.log.events(ADMITTED, Admitted)] == ["r-0", "r-1", "r-1"]
    (refused,) = bench.log.events(COMPLETIONS, Completion)
    assert refused.ticket.request_id == "r-2"
    assert refused.failure is not None
    assert refused.failure.code == "rate_limited"
    restored = second.metric("millrace_restored_records_total", stage="limit")
    assert restored == len([record for record in bench.log.read(ACCOUNTS) if record.offset < 2])


def test_the_first_question_a_new_worker_takes_is_answered_from_the_cache(bench: Bench) -> None:
    bench.log.create(ADMITTED, MISSES, CACHE, COMPLETIONS)
    events = [admitted(f"r-{n}", text=f"Question {n}?") for n in range(200)]
    for event in events:
        write_fill(bench.log, event)
        bench.log.write(ADMITTED, event, key=event.namespace)
    bench.log.flush()

    bench.start(cache.STAGE)

    bench.log.await_finished("cache", ADMITTED, 200)
    assert bench.log.read(MISSES) == []
    assert {found.cache for found in bench.log.events(COMPLETIONS, Completion)} == {"exact"}


def test_an_answer_is_read_back_for_as_long_as_its_tenant_keeps_it_and_so_is_what_was_taken_back_of_it(
    bench: Bench,
) -> None:
    configure(bench, Tenant(name="acme", open=True, cache_ttl_s=LONGEST_CACHE_TTL_S))
    configure(bench, Tenant(name="globex", open=True, cache_ttl_s=LONGEST_CACHE_TTL_S))
    bench.log.create(ADMITTED, MISSES, COMPLETIONS)
    bench.log.create(CACHE, config={"message.timestamp.before.max.ms": str(CACHE.retention_ms)})
    events = [admitted(f"r-{name}", tenant_id=name) for name in ("acme", "globex")]
    for event in events:
        write_fill(bench.log, event, age_ms=29 * DAY_MS, good_for_ms=LONGEST_CACHE_TTL_S * 1000)
    back = Invalidated(tenant_id="globex", before_ms=now_ms() - 28 * DAY_MS)
    for partition in range(bench.kafka.partitions):
        bench.log.write(CACHE, back, key="back", partition=partition, timestamp_ms=back.before_ms)
    for event in events:
        bench.log.write(ADMITTED, event, key=event.namespace)
    bench.log.flush()

    bench.start(cache.STAGE)

    bench.log.await_finished("cache", ADMITTED, 2)
    given = [(found.ticket.tenant_id, found.cache) for found in bench.log.events(COMPLETIONS, Completion)]
    assert given == [("acme", "exact")]
    assert [found.ticket.tenant_id for found in bench.log.events(MISSES, Miss)] == ["globex"]


def test_what_was_answered_before_a_long_outage_is_not_answered_again_after_it(bench: Bench) -> None:
    ahead = {"message.timestamp.after.max.ms": str(31 * HOUR_MS)}  # the broker does not know that a day has passed
    bench.log.create(COMPLETIONS, RESPONSES, CALLS, CACHE, config=ahead)
    for name in ("r-0", "r-1", "r-2", "r-3"):
        bench.log.write(COMPLETIONS, completion(ticket=ticket(name)), key=name)
    bench.log.flush()
    first = bench.start(postprocess.STAGE)
    bench.log.await_finished("postprocess", COMPLETIONS, 4)
    first.stop()

    bench.log.rewind("postprocess", COMPLETIONS, dict.fromkeys((0, 1), 0))
    for name in ("r-4", "r-5"):
        bench.log.write(COMPLETIONS, completion(ticket=ticket(name)), key=name)
    bench.log.flush()
    bench.start(postprocess.STAGE, now_ms=lambda: now_ms() + 30 * HOUR_MS)

    bench.log.await_finished("postprocess", COMPLETIONS, 6)
    answered = sorted(response.request_id for response in bench.log.events(RESPONSES, Response))
    assert answered == [f"r-{n}" for n in range(6)]


@pytest.fixture
def reader(kafka: KafkaSettings) -> Iterator[TableReader]:
    reader = TableReader(ConfluentClients(kafka), "test", Metrics())
    yield reader
    reader.close()


def test_the_oldest_unfinished_event_is_the_one_at_the_committed_position_however_old(
    bench: Bench, reader: TableReader
) -> None:
    bench.log.create(COMPLETIONS)
    now = now_ms()
    for age in (40, 30, 20):
        bench.log.write(COMPLETIONS, Note(id="old"), timestamp_ms=now - age * HOUR_MS)
    bench.log.write(COMPLETIONS, Note(id="done"), partition=1, timestamp_ms=now)
    bench.log.flush()
    name = bench.kafka.topic(COMPLETIONS)

    assert reader.oldest_unfinished_ms([TopicPartition(name, 0, 1), TopicPartition(name, 1, 1)]) == {
        0: now - 30 * HOUR_MS
    }
    never_committed = [TopicPartition(name, 0, -1001), TopicPartition(name, 1, -1001)]
    assert reader.oldest_unfinished_ms(never_committed) == {0: now - 40 * HOUR_MS, 1: now}
    assert reader.oldest_unfinished_ms([]) == {}


def test_a_table_is_read_from_a_time_or_whole_up_to_its_end(bench: Bench, reader: TableReader) -> None:
    bench.log.create(COMPLETIONS)
    now = now_ms()
    for partition in (0, 1):
        for age in (3, 2, 1):
            bench.log.write(COMPLETIONS, Note(id=str(age)), partition=partition, timestamp_ms=now - age * HOUR_MS)
    bench.log.flush()
    name = bench.kafka.topic(COMPLETIONS)
    seen: list[Delivery] = []

    assert reader.read(name, {0: now - 2 * HOUR_MS, 1: None}, seen.append) == {0: 3, 1: 3}
    assert [record.offset for record in seen if record.partition == 0] == [1, 2]
    assert [record.offset for record in seen if record.partition == 1] == [0, 1, 2]

    seen.clear()
    assert reader.read(name, {0: now + HOUR_MS}, seen.append) == {0: 3}
    assert seen == []


def test_what_is_rebuilt_after_a_kill_is_what_the_log_says(bench: Bench, reader: TableReader, tmp_path: Path) -> None:
    """The log's own account: of each key the newest record."""
    limits = Limits(requests_per_minute=100_000, tokens_per_minute=10_000_000)
    configure(bench, limited_tenant(**limits.model_dump(), user_limits=limits))
    bench.log.create(VALIDATED, CALLS, ADMITTED, DEFERRED, NOTICES, ACCOUNTS, BUDGETS, COMPLETIONS)
    for number in range(3_000):
        bench.log.write(VALIDATED, accepted(f"r-{number}", user_id=f"u-{number % 7}"), key="acme")
        bench.log.write(CALLS, call_row(number, request_id=f"r-{number}", tenant_id="acme"), key="acme")
    bench.log.flush()
    process = StageProcess(bench, tmp_path / "killed", "limit")
    bench.log.read_count(ACCOUNTS, 1_000)
    process.child.kill()
    written = [Registration.decode(record.value or b"") for record in bench.log.read(ACCOUNTS)]
    newest = {change.request_id: change for change in written}
    moved = {change.user_id: change.user_meters for change in written} | {None: written[-1].tenant_meters}

    states = [Accounts() for _ in range(bench.kafka.partitions)]
    held = {partition: PartitionWork(state) for partition, state in enumerate(states)}
    reader.read(
        bench.kafka.topic(ACCOUNTS),
        dict.fromkeys(held),
        lambda record: recall(ACCOUNTS, held[record.partition], record, now_ms()),
    )

    (state,) = filter(len, states)
    assert len(newest) > 300
    assert len(state) == len(newest) + len(moved)
    for change in newest.values():
        assert state.registered("acme", change.request_id) == registered(change)
    for user_id, meters in moved.items():
        assert state.meters("acme", user_id) == meters
    assert {path.name for path in (tmp_path / "killed").iterdir()} == {"log", "port"}  # it keeps nothing on disk


def test_a_worker_told_to_stop_while_it_reads_its_state_back_stops(bench: Bench) -> None:
    bench.log.create(VALIDATED, CALLS, ADMITTED, DEFERRED, NOTICES, ACCOUNTS, BUDGETS, COMPLETIONS)
    worker = bench.start(limit.STAGE, clients=Deaf(bench.kafka))
    assert holds_within(WITHIN_S, lambda: worker.progress.health().state == "restoring")

    worker.stop()

    assert bench.log.committed("limit", VALIDATED) == {}


class Deaf(ConfluentClients):
    """Its reader of tables hears nothing."""

    def reader(self, *, fetch_wait_ms: int | None = None) -> PartitionReader:
        found = super().reader(fetch_wait_ms=fetch_wait_ms)
        return found if fetch_wait_ms is None else cast("PartitionReader", Silent(found))


class Silent:
    def __init__(self, reader: PartitionReader) -> None:
        self._reader = reader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def poll(self, timeout: float, /) -> None:
        self._reader.poll(timeout)


def test_a_worker_that_fails_with_nothing_on_its_way_leaves_its_group_at_once(kafka: KafkaSettings) -> None:
    """And not after its session, which here outlasts the test's patience."""
    patient = kafka.model_copy(update={"session_timeout_ms": 120_000})
    with Bench(patient) as bench:
        bench.configure()
        bench.log.create(MISSES, COMPLETIONS)
        bench.log.write(MISSES, Note(id="n-0"))
        bench.log.flush()
        refusing = RefusingClients(patient, KafkaError.GROUP_AUTHORIZATION_FAILED)
        assert isinstance(bench.start(toy(passed_on), clients=refusing).ended(), KafkaException)

        bench.start(toy(passed_on))

        bench.log.await_finished("route", MISSES, 1)

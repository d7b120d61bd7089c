"""Partitions move between workers without a lost event, a doubled response or a decision on stale state."""

from collections import Counter
from collections.abc import Iterator

import pytest

from schemas.flow import Completion, Miss
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
from streams.settings import KafkaSettings
from streams.stages import cache, limit, postprocess
from tests.integration.cache_fill import write_fill
from tests.integration.kafka_log import WITHIN_S
from tests.integration.worker_thread import Bench, passed_on, toy
from tests.unit.examples import accepted, admitted, completion, limited_tenant, ticket

pytestmark = pytest.mark.integration


@pytest.fixture
def bench(kafka: KafkaSettings) -> Iterator[Bench]:
    with Bench(kafka) as bench:
        bench.configure()
        bench.log.create(DEAD_LETTERS)
        yield bench


def complete(bench: Bench, numbers: range) -> None:
    for number in numbers:
        done = completion(ticket=ticket(f"r-{number}"))
        bench.log.write(COMPLETIONS, done, key=f"r-{number}")
    bench.log.flush()


def test_a_request_completed_twice_is_answered_once_however_workers_come_and_go(bench: Bench) -> None:
    bench.log.create(COMPLETIONS, RESPONSES, CALLS, CACHE)
    complete(bench, range(200))
    first = bench.start(postprocess.STAGE, batch_size=10)
    bench.log.read_count(RESPONSES, 20)
    second = bench.start(postprocess.STAGE, batch_size=10)
    complete(bench, range(100, 300))
    assert holds_within(
        WITHIN_S, lambda: (second.metric("millrace_restored_records_total", stage="postprocess") or 0) > 0
    )
    complete(bench, range(200))
    first.stop()
    complete(bench, range(300))

    bench.log.await_finished("postprocess", COMPLETIONS, 900)
    answers = Counter(response.request_id for response in bench.log.events(RESPONSES, Response))
    assert answers == {f"r-{number}": 1 for number in range(300)}


def test_a_worker_that_takes_over_a_tenant_knows_what_it_has_used(bench: Bench) -> None:
    bench.log.create(VALIDATED, CALLS, ADMITTED, DEFERRED, NOTICES, ACCOUNTS, BUDGETS, COMPLETIONS)
    tenants = [f"tenant-{n}" for n in range(6)]
    for name in tenants:
        bench.log.write(CONTROL, limited_tenant(name, requests_per_minute=1, burst_requests=1), key=f"tenant/{name}")
        bench.log.write(VALIDATED, accepted("one", tenant_id=name), key=name)
    bench.log.flush()
    first = bench.start(limit.STAGE)
    bench.log.await_finished("limit", VALIDATED, 6)
    second = bench.start(limit.STAGE).await_running()

    for name in tenants:
        bench.log.write(VALIDATED, accepted("two", tenant_id=name), key=name)
    bench.log.flush()

    bench.log.await_finished("limit", VALIDATED, 12)
    refused = bench.log.events(COMPLETIONS, Completion)
    assert sorted(r.ticket.tenant_id or "" for r in refused) == tenants
    assert {r.failure.code for r in refused if r.failure} == {"rate_limited"}
    finished = [worker.metric("millrace_events_total", stage="limit", outcome="finish") for worker in (first, second)]
    assert all(finished), finished


def test_a_worker_that_was_holding_back_takes_events_again_on_the_partitions_it_is_given_next(bench: Bench) -> None:
    bench.log.create(ADMITTED, MISSES, CACHE, COMPLETIONS)
    # tasks make namespaces, and those decide the partitions
    questions = [admitted(f"r-{n % 8}-{n}", task=f"task-{n % 8}") for n in range(32)]
    for question in questions:
        bench.log.write(ADMITTED, question, key=question.namespace)
    bench.log.flush()
    first = bench.start(cache.STAGE, max_parked=1, batch_size=1)
    assert holds_within(WITHIN_S, lambda: (first.metric("millrace_parked", stage="cache") or 0) >= 1)

    second = bench.start(cache.STAGE).await_running()
    second.stop()  # and the first has both partitions again
    for question in questions[:8]:
        write_fill(bench.log, question)
    bench.log.flush()

    bench.log.await_finished("cache", ADMITTED, 32)
    asked = {miss.ticket.request_id for miss in bench.log.events(MISSES, Miss)}
    answered = {done.ticket.request_id for done in bench.log.events(COMPLETIONS, Completion)}
    assert asked | answered == {question.ticket.request_id for question in questions}
    assert len(asked) <= 8


def test_a_worker_without_partitions_is_ready_to_take_over(bench: Bench) -> None:
    bench.log.create(MISSES, COMPLETIONS)
    workers = [bench.start(toy(passed_on)) for _ in range(3)]
    for worker in workers:
        worker.await_running()
    assert holds_within(WITHIN_S, lambda: bench.log.members("route") == 3)
    for worker in workers[:2]:
        worker.stop()
    for partition in (0, 1):
        bench.log.write(MISSES, b'{"id": "left over"}', partition=partition)
    bench.log.flush()
    bench.log.await_committed("route", MISSES, {0: 1, 1: 1})

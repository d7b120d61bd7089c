"""ClickHouse and sinks die at the worst moments, again and again: every attempt is seen once, and none is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.topics import CALLS
from scripts.stack.readiness import holds_within
from streams.settings import KafkaSettings
from tests.fakes.proxy import proxy_to
from tests.integration.kafka_log import WITHIN_S
from tests.integration.sink_bench import SinkBench, SinkProcess, all_of, seen

pytestmark = pytest.mark.integration


@pytest.fixture
def bench(kafka: KafkaSettings, tmp_path: Path) -> Iterator[SinkBench]:
    with SinkBench(kafka, tmp_path) as bench:
        yield bench


def await_written(sink: SinkProcess, rows: int) -> None:
    assert holds_within(WITHIN_S, lambda: sink.metric("millrace_rows_total") >= rows)


@pytest.mark.timeout(300)
def test_clickhouse_killed_and_restarted_during_inserts_holds_every_attempt_once(bench: SinkBench) -> None:
    bench.queue(range(60_000))
    bench.queue(range(60_000), "started")
    sink = bench.start_sink(batch_rows=2_000)
    for end, written in ((bench.kill_engine, 6_000), (bench.stop_engine, 24_000), (bench.kill_engine, 60_000)):
        await_written(sink, written)
        end()
        retried = sink.metric("millrace_sink_retries_total")
        assert holds_within(WITHIN_S, lambda known=retried: sink.metric("millrace_sink_retries_total") > known)
        bench.start_engine()
    bench.await_drained(120_000, within_s=120)
    assert seen(bench.clickhouse) == all_of(60_000)
    assert sink.metric("millrace_rows_total") == 120_000


@pytest.mark.timeout(300)
def test_a_sink_killed_between_insert_and_commit_leaves_rows_that_the_next_cuts_otherwise_and_all_are_seen_once(
    bench: SinkBench,
) -> None:
    with proxy_to(bench.clickhouse.port) as proxy:
        killed = bench.start_sink(port=proxy.port)
        bench.queue(range(10))
        bench.await_drained(10, WITHIN_S)
        proxy.faults.hold_replies()
        bench.queue(range(10, 5_000))
        assert holds_within(WITHIN_S, lambda: seen(bench.clickhouse).rows > 10)
        killed.child.kill()
        assert sum(bench.log.committed("sink", CALLS).values()) == 10

        bench.start_sink(batch_rows=333)

        bench.await_drained(5_000, within_s=60)
    assert seen(bench.clickhouse) == all_of(5_000)


@pytest.mark.timeout(300)
def test_sinks_that_come_go_and_are_killed_in_the_middle_of_their_inserts_lose_and_double_nothing(
    bench: SinkBench,
) -> None:
    bench.queue(range(40_000))
    bench.queue(range(40_000), "settled")
    first = bench.start_sink(batch_rows=2_000)
    await_written(first, 4_000)
    second = bench.start_sink(batch_rows=1_700)
    await_written(second, 5_000)
    first.child.kill()
    third = bench.start_sink(batch_rows=1_300)
    late = 0
    while third.metric("millrace_rows_total") == 0:  # which partition it is given, and how full, is chance
        bench.queue(range(1_000), "started")
        late += 1_000
        assert late < 2_000_000
    assert second.child.stop(grace_s=30) == 0
    bench.await_drained(80_000 + late, within_s=120)
    assert seen(bench.clickhouse) == all_of(40_000)

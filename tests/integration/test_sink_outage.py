"""ClickHouse is down while a million rows queue up: all of them arrive once, and the sink stays small."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.topics import CALLS
from scripts.stack.readiness import holds_within
from streams.settings import KafkaSettings
from tests.integration.kafka_log import WITHIN_S
from tests.integration.sink_bench import SinkBench, all_of, seen

pytestmark = [pytest.mark.integration, pytest.mark.long]
ROWS = 1_000_000
MEMORY_MB = 512
DRAINED_WITHIN_S = 400.0
"""52 seconds on two cores that do little else."""


@pytest.fixture
def bench(kafka: KafkaSettings, tmp_path: Path) -> Iterator[SinkBench]:
    with SinkBench(kafka, tmp_path) as bench:
        yield bench


@pytest.mark.endurance
@pytest.mark.timeout(600)
def test_a_million_rows_queue_while_clickhouse_is_down_and_arrive_once_in_bounded_memory(bench: SinkBench) -> None:
    bench.stop_engine()
    sink = bench.start_sink()
    bench.queue(range(ROWS))
    assert holds_within(WITHIN_S, lambda: sink.metric("millrace_sink_retries_total") >= 2)
    assert bench.log.committed("sink", CALLS) == {}

    bench.start_engine()

    bench.await_drained(ROWS, DRAINED_WITHIN_S)
    assert seen(bench.clickhouse) == all_of(ROWS)
    assert sink.peak_mb() < MEMORY_MB
    assert sink.child.stop(grace_s=30) == 0

"""A worker that starts with a long backlog works through it within a stated amount of memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from schemas.topics import COMPLETIONS, DEAD_LETTERS, REQUESTS, VALIDATED
from scripts.stack.readiness import holds_within
from streams.runtime.clients import producer_config
from streams.settings import KafkaSettings
from tests.integration.kafka_log import WITHIN_S
from tests.integration.stage_process import StageProcess
from tests.integration.worker_thread import Bench
from tests.unit.examples import request_json

pytestmark = pytest.mark.integration

BACKLOG = 1_000_000
ENOUGH = 50_000
MOST_MB = 350
"""Measured are 250; of which 70 are the interpreter and what it imports, and most of the rest is fetched and waits."""


@pytest.fixture
def bench(kafka: KafkaSettings) -> Iterator[Bench]:
    with Bench(kafka) as bench:
        bench.configure()
        bench.log.create(REQUESTS, VALIDATED, COMPLETIONS, DEAD_LETTERS)
        yield bench


def write_backlog(kafka: KafkaSettings) -> None:
    producer = Producer({**producer_config(kafka, "test"), "linger.ms": 50, "delivery.timeout.ms": 300_000})
    topic = kafka.topic(REQUESTS)
    head, tail = request_json(request_id="#").split(b"#")
    for number in range(BACKLOG):
        while True:
            try:
                producer.produce(topic, b"%b%d%b" % (head, number, tail), partition=number % kafka.partitions)
            except BufferError:
                producer.poll(0.1)
            else:
                break
    assert producer.flush(120) == 0


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6


@pytest.mark.timeout(300)
def test_a_worker_that_starts_with_a_million_events_behind_stays_within_its_memory(
    bench: Bench, kafka: KafkaSettings, tmp_path: Path
) -> None:
    write_backlog(kafka)
    process = StageProcess(bench, tmp_path / "validate", "validate", batch_size=500)
    most_mb = 0.0

    def is_far_enough() -> bool:
        nonlocal most_mb
        most_mb = max(most_mb, resident_mb(process.child.pid))
        return sum(bench.log.committed("validate", REQUESTS).values()) >= ENOUGH

    try:
        assert holds_within(4 * WITHIN_S, is_far_enough)
        assert process.child.stop(grace_s=30) == 0
    finally:
        process.child.kill()
    assert most_mb < MOST_MB
    done = sum(bench.log.committed("validate", REQUESTS).values())
    assert done < BACKLOG  # or it would have had no backlog to hold

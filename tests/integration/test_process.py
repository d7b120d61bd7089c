"""A stage as the process that it is: it says when it is ready, finishes on SIGTERM, and loses nothing to SIGKILL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.flow import Dispatch
from schemas.topics import CONTROL, DEAD_LETTERS, DISPATCH, MISSES
from scripts.stack.readiness import holds_within
from streams.settings import KafkaSettings
from tests.integration.kafka_log import WITHIN_S
from tests.integration.stage_process import StageProcess
from tests.integration.worker_thread import Bench
from tests.unit.examples import miss

pytestmark = pytest.mark.integration
NORMAL = DISPATCH["normal"]


@pytest.fixture
def bench(kafka: KafkaSettings) -> Iterator[Bench]:
    with Bench(kafka) as bench:
        bench.log.create(*DISPATCH.values(), MISSES, DEAD_LETTERS)
        yield bench


@pytest.fixture
def processes() -> Iterator[list[StageProcess]]:
    """To be filled by the test; what still runs is killed."""
    started: list[StageProcess] = []
    yield started
    for process in started:
        process.child.kill()


def ask(bench: Bench, numbers: range) -> None:
    """Of ten requests' ids each: an id's misses are on one partition, in order."""
    for number in numbers:
        event = miss(f"r-{number % 10}", produced_at_ms=number)
        bench.log.write(MISSES, event, key=event.ticket.request_id)
    bench.log.flush()


def dispatched(bench: Bench) -> dict[str, list[int]]:
    """By request id, the numbers in the order in which they were passed on."""
    found: dict[str, list[int]] = {}
    for event in bench.log.events(NORMAL, Dispatch):
        found.setdefault(event.ticket.request_id, []).append(event.ticket.produced_at_ms)
    return found


def test_a_process_waits_for_its_configuration_works_and_ends_well_on_sigterm(
    bench: Bench, processes: list[StageProcess], tmp_path: Path
) -> None:
    bench.log.create(CONTROL)
    processes.append(StageProcess(bench, tmp_path / "one", "route"))
    assert holds_within(WITHIN_S, lambda: processes[0].health() == (503, "starting"))
    bench.write_configuration()
    assert holds_within(WITHIN_S, lambda: processes[0].health() == (200, "running"))
    ask(bench, range(100))
    bench.log.read_count(NORMAL, 1)

    assert processes[0].child.stop(grace_s=20) == 0

    done = sum(bench.log.committed("route", MISSES).values())
    assert sum(len(numbers) for numbers in dispatched(bench).values()) == done  # nothing half done
    assert all(line.startswith("{") for line in processes[0].log.read_text().splitlines())


def test_what_a_killed_process_had_in_hand_is_done_by_the_next_in_each_keys_order(
    bench: Bench, processes: list[StageProcess], tmp_path: Path
) -> None:
    bench.configure()
    ask(bench, range(3_000))
    # it may have finished everything before it is killed, but not have committed it
    processes.append(StageProcess(bench, tmp_path / "killed", "route", commit_interval_ms=3_600_000))
    bench.log.read_count(NORMAL, 40)
    processes[0].child.kill()
    before = sum(bench.log.committed("route", MISSES).values())
    assert before < 3_000

    processes.append(StageProcess(bench, tmp_path / "next", "route"))

    bench.log.await_finished("route", MISSES, 3_000)
    for key, numbers in dispatched(bench).items():
        first_sights = list(dict.fromkeys(numbers))
        assert first_sights == list(range(int(key.removeprefix("r-")), 3_000, 10))
    assert processes[1].child.stop(grace_s=20) == 0

"""A worker that is frozen or killed: others do its work, and what it wakes up with is booked and changes nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.call import CallRow
from schemas.flow import Completion, HandedOver
from schemas.response import Response
from schemas.topics import CACHE, CALLS, COMPLETIONS, CONTROL, DISPATCH, HANDOVERS, RESPONSES
from scripts.stack.readiness import holds_within
from streams.clock import now_ms
from streams.settings import KafkaSettings
from streams.stages import postprocess
from tests.integration.invoke_bench import Desk, InvokeBench
from tests.integration.invoke_process import InvokeProcess
from tests.integration.kafka_log import WITHIN_S
from tests.unit.examples import deployment

pytestmark = pytest.mark.integration
NORMAL = DISPATCH["normal"]


@pytest.fixture
def bench(kafka: KafkaSettings) -> Iterator[InvokeBench]:
    with InvokeBench(kafka) as bench:
        bench.prepare()
        yield bench


@pytest.fixture
def ghosts() -> Iterator[list[InvokeProcess]]:
    """To be filled by the test; what still runs is killed."""
    started: list[InvokeProcess] = []
    yield started
    for ghost in started:
        ghost.child.kill()


def rows_of(bench: InvokeBench, name: str) -> list[CallRow]:
    return [row for row in bench.log.events(CALLS, CallRow) if row.request_id == name]


def test_a_worker_that_was_frozen_beyond_its_session_begins_nothing_and_what_it_had_paid_for_is_booked(
    bench: InvokeBench, ghosts: list[InvokeProcess], tmp_path: Path
) -> None:
    bench.log.create(RESPONSES, CACHE)
    bench.log.write(CONTROL, deployment(max_concurrency=1), key="deployment/openai-1")
    called, queued, later = bench.ids(0, 3)
    ghosts.append(InvokeProcess(bench.kafka, tmp_path / "ghost", called))
    bench.dispatch(called, queued, partition=0)
    ghosts[0].await_asked(called)

    ghosts[0].child.pause()
    desk = Desk()
    bench.start_invoke(desk)
    bench.start(postprocess.STAGE)
    bench.await_completed(called, queued)
    bench.log.await_committed("invoke", NORMAL, {0: 2})
    ghosts[0].release()
    ghosts[0].child.resume()

    bench.await_completed(called, called, queued)
    assert holds_within(WITHIN_S, lambda: bench.log.members("invoke") == 2)
    assert any("lost_touch" in line for line in ghosts[0].lines)
    bench.log.await_finished("postprocess", COMPLETIONS, 3)
    bench.dispatch(later, partition=0)
    bench.await_completed(called, called, queued, later)
    bench.log.await_committed("invoke", NORMAL, {0: 3})
    assert sorted([*ghosts[0].asked, *desk.asked]) == sorted([called, called, queued, later])
    assert queued not in ghosts[0].asked
    responses = bench.log.events(RESPONSES, Response)
    assert sorted(response.request_id for response in responses) == sorted([called, queued, later])
    rows = rows_of(bench, called)
    booked = {row.attempt_id: row.usage.total_tokens for row in rows if row.phase == "priced"}
    assert booked == {row.attempt_id: 17 for row in rows if row.phase == "started"}
    assert len(booked) == 2


def test_a_worker_killed_after_it_handed_over_is_waited_for_no_longer_than_its_call_could_last(
    bench: InvokeBench, ghosts: list[InvokeProcess], tmp_path: Path
) -> None:
    (name,) = bench.ids(0, 1)
    ghosts.append(InvokeProcess(bench.kafka, tmp_path / "ghost", name))
    bench.dispatch(name, partition=0, timeout_ms=2_000)
    ghosts[0].await_asked(name)
    desk = Desk()
    bench.start_invoke(desk)
    bench.log.read_count(HANDOVERS, 1)

    ghosts[0].child.kill()

    bench.await_completed(name)
    (told,) = bench.log.events(HANDOVERS, HandedOver)
    assert told.until_ms is not None
    assert now_ms() >= told.until_ms
    assert [row.phase for row in rows_of(bench, name)] == ["started", "started"]
    assert desk.asked == [name]
    assert [each.status for each in bench.log.events(COMPLETIONS, Completion)] == ["ok"]
    bench.log.await_committed("invoke", NORMAL, {0: 1})

"""Workers obey the newest configuration there is, wait without one, and say whether their work moves."""

import http.client
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from schemas.base import Event, load_json
from schemas.topics import ADMITTED, CACHE, COMPLETIONS, CONTROL, DEAD_LETTERS, MISSES
from scripts.stack.readiness import holds_within
from streams.observe.health import ObservationServer
from streams.process import now_ms
from streams.runtime.follower import ControlFollower
from streams.runtime.outcome import Forward, Outcome, Record
from streams.runtime.stage import View
from streams.settings import KafkaSettings
from streams.stages import cache
from tests.integration.kafka_log import WITHIN_S
from tests.integration.worker_thread import STALL_MS, Bench, Note, WorkerThread, passed_on, toy
from tests.unit.examples import admitted, deployment, tenant

pytestmark = pytest.mark.integration


@pytest.fixture
def bench(kafka: KafkaSettings) -> Iterator[Bench]:
    with Bench(kafka) as bench:
        bench.log.create(MISSES, DEAD_LETTERS)
        yield bench


class Health:
    """What /healthz of a worker says."""

    def __init__(self, port: int) -> None:
        self._port = port

    def __call__(self) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            response = connection.getresponse()
            content = load_json(response.read())
            assert isinstance(content, dict)
            return response.status, content["state"]
        finally:
            connection.close()

    def becomes(self, status: int, state: str) -> bool:
        return holds_within(WITHIN_S, lambda: self() == (status, state))


@contextmanager
def health_of(worker: WorkerThread) -> Generator[Health]:
    with ObservationServer("127.0.0.1", 0, worker.progress.health, worker.metrics) as server:
        yield Health(server.port)


def tenants_known(note: Note, view: View[Any]) -> Outcome:
    """Passes on what the decision could see."""
    seen = Note(id=note.id, text=" ".join(sorted(view.control.tenants)))
    return Forward((Record(COMPLETIONS, note.id, seen),))


def test_a_worker_without_a_configuration_waits_and_is_not_ready(bench: Bench) -> None:
    bench.log.create(COMPLETIONS, CONTROL)
    bench.log.write(CONTROL, tenant(), key="tenant/acme")  # and nothing to ask
    bench.log.write(MISSES, Note(id="early"))
    bench.log.flush()
    worker = bench.start(toy(passed_on))
    with health_of(worker) as health:
        follower = cast("ControlFollower", vars(worker.worker)["_control"])
        assert holds_within(WITHIN_S, lambda: bool(follower.view.tenants))
        assert health() == (503, "starting")
        assert bench.log.read(COMPLETIONS) == []

        bench.write_configuration()

        assert health.becomes(200, "running")
        bench.log.await_committed("route", MISSES, {0: 1})
        worker.stop()
        assert health() == (200, "stopping")


def test_changes_are_obeyed_tombstones_remove_and_what_cannot_be_read_changes_nothing(bench: Bench) -> None:
    bench.log.create(COMPLETIONS)
    bench.configure()
    worker = bench.start(toy(tenants_known)).await_running()

    def tenants_after(change: bytes | Event | None) -> str:
        bench.log.write(CONTROL, change, key="tenant/globex")
        bench.log.write(CONTROL, deployment(), key="deployment/openai-1")  # a change that is seen comes after this one
        bench.log.flush()
        newest = bench.log.end(CONTROL) - 1
        assert holds_within(WITHIN_S, lambda: worker.metric("millrace_config_version", stage="route") == newest)
        bench.log.write(MISSES, Note(id=f"after-{newest}"))
        bench.log.flush()
        seen = bench.log.read_until(COMPLETIONS, lambda found: any(r.key == b"after-%d" % newest for r in found))
        return next(note.text for r in seen if (note := Note.decode(r.value or b"")).id == f"after-{newest}")

    assert tenants_after(tenant("globex")) == "acme globex"
    assert tenants_after(b'{"kind": "tenant", "name": 7}') == "acme globex"
    assert tenants_after(None) == "acme"


def test_a_worker_is_not_healthy_while_the_broker_takes_nothing_for_too_long(bench: Bench) -> None:
    bench.configure()  # but the topic to write to is missing
    bench.log.write(MISSES, Note(id="only"))
    bench.log.flush()
    ahead_ms = 0
    worker = bench.start(toy(passed_on), now_ms=lambda: now_ms() + ahead_ms)
    with health_of(worker) as health:
        assert holds_within(WITHIN_S, lambda: worker.progress.health().in_flight > 0)
        assert health() == (200, "running")

        ahead_ms += STALL_MS + 1_000

        assert health.becomes(503, "stalled")
        assert (worker.metric("millrace_oldest_unfinished_seconds", stage="route") or 0) > 0
        bench.log.create(COMPLETIONS)
        assert health.becomes(200, "running")


def test_waiting_for_an_answer_that_others_wait_for_too_is_no_standstill(bench: Bench) -> None:
    bench.configure()
    bench.log.create(ADMITTED, CACHE, COMPLETIONS)
    for name in ("leader", "follower"):
        question = admitted(name)
        bench.log.write(ADMITTED, question, key=question.namespace)
    bench.log.flush()
    ahead_ms = 0
    worker = bench.start(cache.STAGE, now_ms=lambda: now_ms() + ahead_ms)
    assert holds_within(WITHIN_S, lambda: worker.metric("millrace_parked", stage="cache") == 1)

    ahead_ms += STALL_MS + 1_000  # less than a flight may take

    assert holds_within(
        WITHIN_S, lambda: (worker.metric("millrace_oldest_unfinished_seconds", stage="cache") or 0) > STALL_MS / 1000
    )
    assert worker.progress.health().ok
    lag = worker.metrics.registry.get_sample_value
    topic = bench.kafka.topic(ADMITTED)
    lags = [lag("millrace_lag_records", {"stage": "cache", "topic": topic, "partition": p}) for p in "01"]
    assert sorted(x or 0 for x in lags) == [0, 1]

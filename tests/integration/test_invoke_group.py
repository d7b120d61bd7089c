"""The invoke worker as a member of its group: it stays while it should, leaves when it must, and comes back."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import NodeNotReadyError
from typing_extensions import override

from schemas.control import Deployment
from schemas.topics import DISPATCH
from scripts.stack.process import Child, Command, spawn
from scripts.stack.readiness import holds_within
from streams.invoke.tenure import Tenure
from streams.providers.protocol import Question, Reply
from streams.runtime.delivery import Delivery
from streams.runtime.restore import TableReader
from streams.settings import KafkaSettings
from tests.integration.invoke_bench import Desk, InvokeBench
from tests.integration.kafka_log import WITHIN_S
from tests.integration.orphans import REPOSITORY

pytestmark = pytest.mark.integration
NORMAL = DISPATCH["normal"]
LONG_MS = 3_600_000


@pytest.fixture
def bench(kafka: KafkaSettings) -> Iterator[InvokeBench]:
    with InvokeBench(kafka) as bench:
        bench.prepare()
        yield bench


class SlowReader(TableReader):
    """Reads back for longer than a session. One gate for all, since a worker makes its own reader."""

    gate = threading.Event()
    reading = threading.Event()

    @override
    def read(self, topic: str, since_ms: Mapping[int, int | None], apply: Callable[[Delivery], None]) -> dict[int, int]:
        self.reading.set()
        self.gate.wait(2 * WITHIN_S)
        return super().read(topic, since_ms, apply)


def test_who_has_much_to_read_back_stays_in_the_group_meanwhile(bench: InvokeBench) -> None:
    bench.dispatch("only")
    desk = Desk()
    worker = bench.start_invoke(desk, reader_type=SlowReader)
    assert SlowReader.reading.wait(WITHIN_S)
    began_s = time.monotonic()

    def session_is_over() -> bool:
        return time.monotonic() - began_s > bench.kafka.session_timeout_ms / 1000 + 1

    assert holds_within(WITHIN_S, lambda: bench.log.members("invoke") != 1 or session_is_over())
    assert bench.log.members("invoke") == 1
    assert worker.progress.health().state == "restoring"
    SlowReader.gate.set()

    bench.log.await_committed("invoke", NORMAL, {0: 1})
    assert desk.asked == ["only"]


class Deaf(TableReader):
    """Hears nothing of any partition."""

    @override
    def read(self, topic: str, since_ms: Mapping[int, int | None], apply: Callable[[Delivery], None]) -> dict[int, int]:
        while True:
            self._poll()


def test_who_is_told_to_stop_while_nothing_is_heard_of_what_it_reads_back_ends_in_order(bench: InvokeBench) -> None:
    worker = bench.start_invoke(Desk(), reader_type=Deaf)
    assert holds_within(WITHIN_S, lambda: worker.progress.health().state == "restoring")

    worker.ask_to_stop()

    assert worker.ended() is None


class Blocking(Desk):
    """Its first answer keeps the whole loop waiting."""

    blocked = False

    @override
    async def ask(self, deployment: Deployment, question: Question) -> Reply:
        if not self.blocked:
            self.blocked = True
            threading.Event().wait(2)
        return await super().ask(deployment, question)


def test_who_stood_still_without_losing_anything_is_back_at_work_at_once_and_asks_nothing_twice(
    bench: InvokeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.invoke.worker.UNHEARD_S", bench.kafka.session_timeout_ms / 1000 - 1)
    desk = Blocking()
    bench.dispatch("blocks", "next")
    worker = bench.start_invoke(desk)

    bench.await_completed("blocks", "next")
    bench.dispatch("later")

    bench.log.await_committed("invoke", NORMAL, {0: 3})
    assert sorted(desk.asked) == ["blocks", "later", "next"]
    assert bench.completed() == ["blocks", "later", "next"]
    assert worker.is_running


class CutOff(AIOKafkaConsumer):
    """The coordinator of its group hears nothing of it once it has been told to be silent; all other brokers do."""

    silent = threading.Event()

    @override
    async def start(self) -> None:
        await super().start()
        coordinator = cast("Any", self)._coordinator  # aiokafka has no other place to stand between the two
        send = coordinator._send_req

        async def send_if_heard(request: Any) -> Any:
            if self.silent.is_set():
                raise NodeNotReadyError
            return await send(request)

        coordinator._send_req = send_if_heard


def test_a_worker_that_its_coordinator_alone_does_not_hear_hands_over_in_time_and_begins_nothing_more(
    bench: InvokeBench,
) -> None:
    begun, *later = bench.ids(0, 8)
    desk, next_desk = Desk(begun), Desk()
    cut = bench.start_invoke(desk, consumer_type=CutOff)
    bench.dispatch(begun, partition=0)
    desk.await_asked(begun)

    CutOff.silent.set()
    following = bench.start_invoke(next_desk)
    assert holds_within(WITHIN_S, lambda: following.progress.health().state == "running")
    bench.dispatch(*later, partition=0)
    bench.await_completed(*later)
    desk.release(begun)

    bench.await_completed(begun, *later)
    assert desk.asked == [begun]
    assert sorted(next_desk.asked) == sorted(later)
    CutOff.silent.clear()
    assert holds_within(WITHIN_S, lambda: bench.log.members("invoke") == 2)
    assert cut.is_running


class LosesTouchMeanwhile(AIOKafkaConsumer):
    """Its worker loses touch with its group, and asks for partitions anew, while it is being given its first."""

    has_lost = False

    @override
    async def committed(self, partition: Any) -> int | None:
        given = cast("int | None", await super().committed(partition))
        if not self.has_lost:
            self.has_lost = True
            tenure = cast("Tenure", cast("Any", self)._subscription.listener)
            tenure.lose()
            await tenure.rejoin_if_lost()
        return given


def test_a_worker_that_loses_touch_while_it_is_given_its_partitions_asks_anew_and_goes_on(bench: InvokeBench) -> None:
    bench.dispatch("later-0", partition=0)
    bench.dispatch("later-1", partition=1)

    worker = bench.start_invoke(Desk(), consumer_type=LosesTouchMeanwhile)

    bench.await_completed("later-0", "later-1")
    bench.log.await_committed("invoke", NORMAL, {0: 1, 1: 1})
    assert worker.is_running


class Breaks(AIOKafkaConsumer):
    """Fails for good once it has been told to."""

    broken = threading.Event()

    @override
    async def getmany(self, *partitions: Any, timeout_ms: int = 0, max_records: int | None = None) -> Any:
        if self.broken.is_set():
            raise RuntimeError("a bug of ours")
        return cast("Any", await super().getmany(*partitions, timeout_ms=timeout_ms, max_records=max_records))


def test_a_worker_that_fails_leaves_its_group_at_once_while_its_calls_still_end(bench: InvokeBench) -> None:
    desk = Desk("begun")
    bench.dispatch("begun")
    failing = bench.start_invoke(desk, drain_ms=LONG_MS, consumer_type=Breaks)
    desk.await_asked("begun")
    other = bench.start_invoke(desk)
    assert holds_within(WITHIN_S, lambda: bench.log.members("invoke") == 2)

    Breaks.broken.set()

    assert holds_within(WITHIN_S, lambda: bench.log.members("invoke") == 1)
    assert failing.progress.health().state == "stopping"
    bench.dispatch("later-0", partition=0)
    bench.dispatch("later-1", partition=1)
    bench.await_completed("later-0", "later-1")
    desk.release("begun")
    bench.await_completed("begun", "later-0", "later-1")
    assert isinstance(failing.ended(), RuntimeError)
    bench.log.await_committed("invoke", NORMAL, {0: 2, 1: 1})
    assert sorted(desk.asked) == ["begun", "later-0", "later-1"]
    other.stop()


STUCK = """
import threading
from streams.invoke import process
from streams.observe.health import Progress
from streams.observe.metrics import Metrics
from streams.settings import InvokeSettings, KafkaSettings, WorkerSettings

class Stuck:
    def __init__(self, *_given, **_named): ...
    async def run(self, stop):
        print("runs", flush=True)
        await stop.wait()
        threading.Event().wait()

process.InvokeWorker, process.HARD_S, process.CLOSE_S = Stuck, 0.2, 0.2
progress = Progress(lambda: 0, 60_000)
process.run_invoke(KafkaSettings(), WorkerSettings(), InvokeSettings(drain_ms=100), Metrics(), progress)
"""


UNREADY = """
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from streams.invoke import process
from streams.observe.health import Progress
from streams.observe.metrics import Metrics
from streams.settings import InvokeSettings, KafkaSettings, WorkerSettings

class Refused(AIOKafkaConsumer):
    async def start(self):
        await super().start()
        raise RuntimeError("refused")
    async def stop(self):
        await super().stop()
        print("consumer closed", flush=True)

class Started(AIOKafkaProducer):
    async def stop(self):
        await super().stop()
        print("producer closed", flush=True)

process.AIOKafkaConsumer, process.AIOKafkaProducer = Refused, Started
progress = Progress(lambda: 0, 60_000)
process.run_invoke(KafkaSettings(), WorkerSettings(), InvokeSettings(), Metrics(), progress)
"""


@pytest.fixture
def run_script(bench: InvokeBench, tmp_path: Path) -> Iterator[Callable[[str], Child]]:
    given = bench.kafka.model_dump(mode="json", exclude_none=True)
    env = {f"MILLRACE_KAFKA_{field.upper()}": str(value) for field, value in given.items()}
    children: list[Child] = []

    def run(script: str) -> Child:
        children.append(spawn(Command([sys.executable, "-c", script], tmp_path / "log", REPOSITORY, env)))
        return children[-1]

    yield run
    for child in children:
        child.kill()


def test_a_process_that_one_of_its_clients_keeps_from_starting_closes_them_all(
    run_script: Callable[[str], Child], tmp_path: Path
) -> None:
    assert run_script(UNREADY).wait(WITHIN_S) == 1

    log = (tmp_path / "log").read_text()
    assert "refused" in log
    assert "consumer closed" in log
    assert "producer closed" in log


def test_a_process_whose_loop_is_stuck_ends_by_force_after_it_was_told_to_stop(
    run_script: Callable[[str], Child], tmp_path: Path
) -> None:
    stuck = run_script(STUCK)
    log = tmp_path / "log"
    assert holds_within(WITHIN_S, lambda: "runs" in log.read_text()), log.read_text()

    stuck.signal(signal.SIGTERM)

    assert stuck.wait(WITHIN_S) == 1
    assert "hard_exit" in log.read_text()

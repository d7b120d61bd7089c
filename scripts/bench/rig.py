"""Everything that is measured: a provider, a whole Millrace, and whoever is compared with it, on one broker."""

import resource
import shutil
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self, cast

from confluent_kafka.admin import AdminClient, NewTopic

from schemas.participants import STAGES
from schemas.topics import REQUESTS, RESPONSES
from scripts.bench.configuration import configuration
from scripts.bench.load.job import Heard, Job, OverHttp, OverKafka
from scripts.bench.mix import TENANTS, Mix
from scripts.bench.provider.desk import set_pace
from scripts.bench.provider.pace import Pace
from scripts.bench.timetable import timetable
from scripts.local.doors import local_url
from scripts.local.layout import Layout
from scripts.local.parts import Wishes, programs
from scripts.local.stack import LocalStack
from scripts.stack.errors import StackError
from scripts.stack.lock import exclusive
from scripts.stack.ports import reserve_port
from scripts.stack.process import Child, Command, log_tail, spawn
from scripts.stack.readiness import answers, await_ready
from streams.settings import KafkaSettings

OURS: Final = (*STAGES, "sink", "watch")
"""Process names; with one worker each they are the stages' own."""
APART: Final = ("broker", "clickhouse", "provider")
PARTITIONS: Final = 4
_BROKER: Final = {"broker.session.timeout.ms": "60000"}
"""A broker that is starved for some seconds, on a machine with other work, is not taken for dead by its own controller:
that would end a run of half an hour.
"""
_STARTS_WITHIN_S: Final = 120.0
_STOP_S: Final = 15.0
_TOPICS: Final = 16
"""Beside ours, for the others: each reads its own, or it would be given what another was asked."""


@dataclass(frozen=True, slots=True)
class Shape:
    """`in_flight` calls may wait on the provider at once, everywhere alike."""

    seed: int = 7
    in_flight: int = 512
    tuning: Mapping[str, str] = field(default_factory=dict[str, str])
    tenants: Sequence[str] = TENANTS


class Rig:
    """Use as a context manager: whatever happens, all of it is stopped. `announce` hears what is being done."""

    def __init__(self, folder: Path, shape: Shape, announce: Callable[[str], None]) -> None:
        self.folder = folder
        self.shape = shape
        self._announce = announce
        self._held = ExitStack()
        self._provider: Child | None = None
        self.provider_port = 0
        self.stack = LocalStack(Layout(folder), self._wishes(), announce)

    def __enter__(self) -> Self:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # what is started inherits it
        try:
            self._take_folder()
            self._start_provider()
            config = configuration(self.shape.tenants, self.provider_url, self.shape.in_flight)
            self._config_file.write_text(config)
            self._held.enter_context(self.stack)
            self._held.callback(self.stack.abandon)  # nothing here is looked at again
            self._create_topics()
        except BaseException:
            self._held.close()
            raise
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._announce("stopping everything")
        self._held.close()

    @property
    def provider_url(self) -> str:
        return f"{local_url(self.provider_port)}/v1"

    @property
    def provider_pid(self) -> int:
        if self._provider is None:
            raise RuntimeError("the rig was not started")
        return self._provider.pid

    @property
    def _broker_pid(self) -> int:
        pid = self.stack.brokers[0].pid
        if pid is None:
            raise StackError(f"the broker ended; its log is in {self.stack.layout.kafka}")
        return pid

    def set_pace(self, pace: Pace) -> None:
        set_pace(self.provider_port, pace)

    def pids(self) -> dict[str, int]:
        """By name: each of OURS, and each of APART. Raises StackError when one of ours does not run."""
        running = {state.name: state.pid for state in self.stack.states() if state.pid is not None}
        found = {**running, "broker": self._broker_pid, "provider": self.provider_pid}
        if missing := [name for name in OURS if name not in found]:
            logs = self.stack.layout.log(missing[0])
            raise StackError(f"{', '.join(missing)} ended; the end of {logs}:\n{log_tail(logs)}")
        return found

    @contextmanager
    def beside(self, name: str, module: str, *arguments: str) -> Generator[int]:
        """One more process, `python -m` that module, until the block is left. Its pid, once it is ready."""
        ready_file = self.folder / f"{name}.ready"
        ready_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", module, *arguments, "--ready-file", str(ready_file.resolve())]
        with self.running(name, command, ready_file.exists) as pid:
            yield pid

    @contextmanager
    def running(
        self, name: str, command: Sequence[str], ready: Callable[[], bool], env: Mapping[str, str] | None = None
    ) -> Generator[int]:
        log = self.stack.layout.log(name)
        child = spawn(Command(command, log, env=env or {}))
        try:
            await_ready(name, child, log, ready, within_s=_STARTS_WITHIN_S)
            yield child.pid
        finally:
            child.stop(_STOP_S)

    def pid(self, name: str) -> int:
        """Of one of our processes."""
        return next(state.pid for state in self.stack.states() if state.name == name and state.pid is not None)

    def stop(self, *names: str) -> None:
        """Ends stages in order, the last of the pipeline first."""
        self.stack.supervisor.stop(*names)

    def start(self, *names: str) -> None:
        """Starts stages that were stopped, and returns when all of them are ready."""
        arguments = programs(self._wishes())
        self.stack.supervisor.start(*(self.stack.part(name, *arguments[name]) for name in names))

    def publish(self, mix: Mix) -> None:
        """Returns when everything is on the topic, whatever becomes of it."""
        job = self.job(mix, self.millrace_door(with_rows=False), {}).model_copy(update={"is_awaited": False})
        self.carry_out(job, self.folder / f"{mix.name}.json")

    def topic(self, number: int) -> str:
        """One of those that are there for the others."""
        return f"bench.{number}"

    def millrace_door(self, *, with_rows: bool = True) -> OverKafka:
        kafka = self.stack.kafka
        rows = self.stack.clickhouse.port if with_rows else None
        return self.door(kafka.topic(REQUESTS), kafka.topic(RESPONSES), rows)

    def door(self, requests: str, answers_on: str, clickhouse_port: int | None = None) -> OverKafka:
        return OverKafka(
            bootstrap_servers=self.stack.kafka.bootstrap_servers,
            requests=requests,
            answers=answers_on,
            clickhouse_port=clickhouse_port,
        )

    def job(
        self, mix: Mix, door: OverKafka | OverHttp, pids: Mapping[str, int], *, per_second: float | None = None
    ) -> Job:
        """All at once without a rate; with one, every answer's times are kept."""
        due_s = timetable(self.shape.seed, mix.count, per_second)
        return Job(mix=mix, due_s=due_s, door=door, pids=dict(pids), is_detailed=per_second is not None)

    def run(self, name: str, what: str, *module: str) -> None:
        """Blocks until a module of ours has ended. Raises StackError with its last words when it failed."""
        log = self.stack.layout.log(name)
        log.unlink(missing_ok=True)
        child = spawn(Command([sys.executable, "-m", *module], log))
        try:
            status = child.wait()
        finally:
            child.kill()
        if status:
            raise StackError(f"{what} failed: {log_tail(log)}")

    def carry_out(self, job: Job, raw: Path) -> Heard:
        """Blocks until the load has ended; what it measured stays in `raw`. Raises StackError with its last words."""
        raw.parent.mkdir(parents=True, exist_ok=True)
        job_file = self.folder / f"{job.mix.name}.job.json"
        job_file.write_text(job.model_dump_json())
        self.run("load", f"the load of {job.mix.name}", "scripts.bench.load", str(job_file), str(raw))
        heard = Heard.model_validate_json(raw.read_bytes())
        if unwanted := {status: count for status, count in heard.statuses.items() if status != "ok"}:
            raise StackError(f"not every request of {job.mix.name} was answered well: {unwanted}")
        return heard

    @property
    def _config_file(self) -> Path:
        return self.folder / "millrace.toml"

    def _wishes(self) -> Wishes:
        tuning = {"MILLRACE_INVOKE_IN_FLIGHT_NORMAL": str(self.shape.in_flight), **self.shape.tuning}
        return Wishes(
            config=self._config_file,
            simulator=None,
            heap_mb=512,
            kafka=KafkaSettings(partitions=PARTITIONS),
            properties=_BROKER,
            tuning=tuning,
        )

    def _take_folder(self) -> None:
        """Made anew, and ours alone until the end."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._held.enter_context(exclusive(self.folder.with_name(f"{self.folder.name}.lock"), wait=False))
        except BlockingIOError:
            raise StackError(f"another bench runs in {self.folder}: wait for its end, or stop it") from None
        shutil.rmtree(self.folder, ignore_errors=True)
        self.stack.layout.prepare()

    def _start_provider(self) -> None:
        self.provider_port = self._held.enter_context(reserve_port()).port
        log = self.stack.layout.log("provider")
        child = spawn(Command([sys.executable, "-m", "scripts.bench.provider", f"--port={self.provider_port}"], log))
        self._held.callback(child.kill)
        ready = answers(f"{local_url(self.provider_port)}/healthz")
        await_ready("the provider", child, log, ready, within_s=_STARTS_WITHIN_S)
        self._provider = child

    def _create_topics(self) -> None:
        kafka = self.stack.kafka
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
        topics = [NewTopic(self.topic(number), kafka.partitions, 1) for number in range(_TOPICS)]
        created = cast("dict[str, Future[None]]", admin.create_topics(topics))
        for each in created.values():
            each.result(_STARTS_WITHIN_S)

"""An invoke worker that gives its partitions up while others are given to it takes only what it asked for last."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError, IllegalStateError
from typing_extensions import override

from streams.control import ControlView
from streams.invoke.lanes import Lanes
from streams.invoke.others import Others
from streams.invoke.outbox import AsyncOutbox
from streams.invoke.pulse import Pulse
from streams.invoke.relearn import Learned
from streams.invoke.worker import InvokeWorker
from streams.observe.health import Progress
from streams.observe.metrics import Metrics
from streams.runtime.envelope import Envelope
from streams.settings import KafkaSettings, WorkerSettings
from tests.unit.calling import World, world
from tests.unit.examples import NOW_MS, control, deployment

KAFKA = KafkaSettings()
WHERE = TopicPartition("llm.dispatch.normal", 0)


class Coordinator:
    generation = 1

    def __init__(self, request_rejoin: Callable[[], None]) -> None:
        self.trouble: BaseException | None = None
        self.request_rejoin = request_rejoin

    def check_errors(self) -> None:
        if self.trouble is not None:
            raise self.trouble


class Group:
    """aiokafka's consumer, of which the test is the coordinator."""

    def __init__(self) -> None:
        self._coordinator = Coordinator(self.ask)
        self._listener: Any = None
        self.asked: asyncio.Queue[Any] = asyncio.Queue()
        self.is_assigned = False
        self.fetched = asyncio.Event()
        self.answers = asyncio.Event()
        self.answers.set()
        self.is_probed = asyncio.Event()
        self.rebalances = False
        self.is_left = False

    def hear_of(self, trouble: BaseException) -> None:
        self._coordinator.trouble = trouble

    def subscribe(self, _topics: object, *, listener: Any) -> None:
        self._listener = listener
        self.ask()

    def ask(self) -> None:
        """For partitions, in the listener's name."""
        self.is_assigned = False
        self.asked.put_nowait(self._listener)

    async def assign(self, listener: Any) -> None:
        self.is_assigned = True
        await listener.on_partitions_assigned([WHERE])

    async def assign_nothing(self, listener: Any) -> None:
        await listener.on_partitions_assigned([])

    def seek(self, where: TopicPartition, _offset: int) -> None:
        if not self.is_assigned:
            raise IllegalStateError(f"{where} is not assigned")

    async def committed(self, _where: TopicPartition) -> int:
        return 0

    async def commit(self, _offsets: Mapping[TopicPartition, int]) -> None:
        """Is taken."""

    async def getmany(self, *_partitions: TopicPartition, **_options: int) -> dict[TopicPartition, list[object]]:
        self._coordinator.check_errors()
        self.fetched.set()
        if self.rebalances:
            await asyncio.get_running_loop().create_future()
        await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0.001)
        return {}

    async def end_offsets(self, _partitions: object) -> dict[TopicPartition, int]:
        self.is_probed.set()
        await self.answers.wait()
        return {WHERE: 0}

    async def stop(self) -> None:
        self.is_left = True


class Slow(AsyncOutbox):
    """Takes what is handed over only while its gate is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_asked = asyncio.Event()

    @override
    async def write(self, envelopes: Sequence[Envelope]) -> None:
        self.is_asked.set()
        await self.gate.wait()


class Unread(Others):
    """Has read everything back once its gate is open."""

    def __init__(self) -> None:
        super().__init__(cast("Any", None), cast("Any", None), KAFKA, me="me", window_ms=0, now_ms=lambda: NOW_MS)
        self.gate = asyncio.Event()
        self.gate.set()

    @override
    async def relearn(self, starts: object, superseded: Any) -> Learned | None:
        await self.gate.wait()
        return None if superseded() else Learned()


class Follower:
    view = ControlView()

    def follow(self) -> bool:
        return False


class Bench:
    def __init__(self, here: World) -> None:
        self.group, self.outbox, self.others = Group(), Slow(), Unread()
        self.progress = Progress(lambda: NOW_MS, 60_000)
        self.stop = asyncio.Event()
        self.worker = InvokeWorker(
            cast("Any", self.group),
            self.outbox,
            here.caller(),
            cast("Any", Follower()),
            self.others,
            Lanes({"high": 1, "normal": 1, "low": 1}),
            kafka=KAFKA,
            settings=WorkerSettings(poll_ms=1),
            drain_ms=1_000,
            now_ms=lambda: NOW_MS,
            metrics=Metrics(),
            progress=self.progress,
            reconfigured=cast("Any", None),
        )
        self.running = asyncio.create_task(self.worker.run(self.stop))

    async def await_running(self) -> None:
        while self.progress.health().state != "running":
            assert not self.running.done(), self.running.exception()
            await asyncio.wait([self.running], timeout=0.001)

    async def subscribed(self) -> Any:
        asking = asyncio.create_task(self.group.asked.get())
        await asyncio.wait([asking, self.running], return_when=asyncio.FIRST_COMPLETED)
        assert asking.done(), self.running.exception()
        return asking.result()


async def begun(*, with_partitions: bool = True) -> tuple[Bench, Any]:
    """A worker at work, and the listener that it subscribed with."""
    bench = Bench(world(control=control(deployment())))
    listener = await bench.subscribed()
    await (bench.group.assign(listener) if with_partitions else bench.group.assign_nothing(listener))
    await bench.await_running()
    return bench, listener


@pytest.mark.asyncio
async def test_what_was_assigned_while_it_parted_is_not_begun_after_it_asked_anew() -> None:
    async with asyncio.timeout(30):
        bench, listener = await begun()

        bench.outbox.gate.clear()
        bench.outbox.is_asked.clear()
        cast("Any", bench.worker)._tenure.lose()
        await bench.outbox.is_asked.wait()
        bench.others.gate.clear()
        await bench.group.assign(listener)
        bench.outbox.gate.set()
        await bench.subscribed()
        bench.others.gate.set()
        await asyncio.wait(cast("Any", bench.worker)._tenure._beside)

        await bench.group.assign(listener)
        await bench.await_running()
        bench.stop.set()
        await bench.running


@pytest.mark.asyncio
async def test_who_loses_touch_while_it_parts_does_not_ask_anew_a_second_time() -> None:
    async with asyncio.timeout(30):
        bench, listener = await begun()

        bench.outbox.gate.clear()
        bench.outbox.is_asked.clear()
        revoked = asyncio.create_task(listener.on_partitions_revoked([WHERE]))
        await bench.outbox.is_asked.wait()
        cast("Any", bench.worker)._tenure.lose()
        bench.outbox.gate.set()
        await revoked
        await bench.group.assign(listener)
        await bench.await_running()
        bench.group.fetched.clear()

        asked = asyncio.create_task(bench.subscribed())
        fetched = asyncio.create_task(bench.group.fetched.wait())
        await asyncio.wait([asked, fetched], return_when=asyncio.FIRST_COMPLETED)
        assert not asked.done()
        asked.cancel()
        bench.stop.set()
        await bench.running


@pytest.mark.asyncio
async def test_while_brokers_say_nothing_who_lost_touch_waits_with_what_it_calls_for_and_does_not_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streams.invoke.offsets.ASK_TIMEOUT_S", 0.001)
    async with asyncio.timeout(30):
        bench, _ = await begun()
        call = asyncio.create_task(asyncio.Event().wait())
        monkeypatch.setattr(cast("Any", bench.worker)._work, "calling", lambda: {call})

        bench.outbox.is_asked.clear()
        bench.group.answers.clear()
        cast("Any", bench.worker)._tenure.lose()
        for _ in range(3):
            bench.group.is_probed.clear()
            await bench.group.is_probed.wait()
        assert not bench.outbox.is_asked.is_set()
        assert bench.group.asked.empty()
        bench.group.answers.set()

        await bench.subscribed()
        assert bench.outbox.is_asked.is_set()
        bench.stop.set()
        await bench.running
        assert not call.cancelled()
        call.cancel()


@pytest.mark.asyncio
async def test_what_keeps_a_worker_from_its_group_is_heard_of_though_it_takes_nothing() -> None:
    async with asyncio.timeout(30):
        bench, listener = await begun()
        await listener.on_partitions_revoked([WHERE])

        bench.group.hear_of(GroupAuthorizationFailedError("millrace.invoke"))

        with pytest.raises(GroupAuthorizationFailedError):
            await bench.running


@pytest.mark.asyncio
async def test_what_keeps_a_worker_from_its_group_is_heard_of_though_no_partition_is_its_own() -> None:
    async with asyncio.timeout(30):
        bench, _ = await begun(with_partitions=False)

        bench.group.hear_of(GroupAuthorizationFailedError("millrace.invoke"))

        with pytest.raises(GroupAuthorizationFailedError):
            await bench.running


@pytest.mark.asyncio
async def test_a_worker_whose_pulse_is_no_longer_looked_at_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async with asyncio.timeout(30):

        class Broken(Exception):
            """A bug where the loss is to be told."""

        may_break = asyncio.Event()

        async def beat(_pulse: Pulse) -> None:
            await may_break.wait()
            raise Broken

        monkeypatch.setattr(Pulse, "beat", beat)
        bench, _ = await begun()
        may_break.set()

        with pytest.raises(Broken):
            await bench.running


@pytest.mark.asyncio
async def test_it_is_heard_of_too_while_a_call_of_partitions_that_are_gone_is_under_way() -> None:
    async with asyncio.timeout(30):
        bench, _ = await begun(with_partitions=False)
        finished = asyncio.Event()

        async def call(_aside: object) -> bool:
            return await finished.wait()

        cast("Any", bench.worker)._pool.take("normal", b"", call, finished.clear)

        bench.group.hear_of(GroupAuthorizationFailedError("millrace.invoke"))

        while not bench.group.is_left:
            await asyncio.wait([bench.running], timeout=0.001)
        finished.set()
        with pytest.raises(GroupAuthorizationFailedError):
            await bench.running


@pytest.mark.asyncio
async def test_a_worker_that_has_joined_again_by_itself_while_it_was_to_ask_for_that_keeps_what_it_was_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with asyncio.timeout(30):
        bench, listener = await begun()
        tenure = cast("Any", bench.worker)._tenure
        is_asked, may_part = asyncio.Event(), asyncio.Event()

        async def can_part() -> bool:
            is_asked.set()
            return await may_part.wait()

        monkeypatch.setattr(tenure, "_can_part", can_part)
        tenure.lose()
        await is_asked.wait()

        await listener.on_partitions_revoked([WHERE])
        await bench.group.assign(listener)
        await asyncio.wait(tenure._beside)
        may_part.set()
        bench.group.fetched.clear()
        await bench.group.fetched.wait()

        assert bench.group.asked.empty()
        bench.stop.set()
        await bench.running


@pytest.mark.asyncio
async def test_a_worker_one_of_whose_clients_tasks_was_cancelled_leaves_its_group_before_it_ends() -> None:
    async with asyncio.timeout(30):
        bench, listener = await begun()
        await listener.on_partitions_revoked([WHERE])

        bench.group.hear_of(asyncio.CancelledError())

        await asyncio.wait([bench.running])
        assert bench.running.cancelled()
        assert bench.group.is_left


@pytest.mark.asyncio
async def test_a_worker_hears_that_it_shall_stop_though_its_group_rebalances_without_end() -> None:
    async with asyncio.timeout(30):
        bench, _ = await begun()
        bench.group.rebalances = True
        bench.group.fetched.clear()
        await bench.group.fetched.wait()

        bench.stop.set()

        await bench.running

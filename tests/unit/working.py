"""What a worker of `invoke` does with one event, and what it writes of it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

from typing_extensions import override

from schemas.call import CallRow
from schemas.flow import Completion, Dispatch, HandedOver
from schemas.topics import CALLS, COMPLETIONS, HANDOVERS
from streams.invoke.others import Others
from streams.invoke.outbox import AsyncOutbox
from streams.invoke.pulse import Pulse
from streams.invoke.work import Work
from streams.observe.metrics import Metrics
from streams.providers.protocol import ProviderError, Reply
from streams.runtime.delivery import Delivery
from streams.runtime.envelope import Envelope
from streams.runtime.restore import TableReader
from streams.runtime.spill import Spill
from streams.settings import KafkaSettings, WorkerSettings
from tests.fakes.kafka.clients import FakeClients
from tests.fakes.kafka.cluster import Cluster
from tests.fakes.kafka.conditions import Steady
from tests.fakes.kafka.host import Host
from tests.fakes.kafka.timeline import Timeline
from tests.unit.calling import World, world
from tests.unit.examples import NOW_MS, control, deployment

KAFKA = KafkaSettings()


TIMEOUT_MS = 15_000


LIMIT_S = 4.0


class Written(AsyncOutbox):
    def __init__(self) -> None:
        self.events: list[CallRow | Completion | HandedOver] = []
        self.dead_letters = 0
        self.takes: Callable[[], object] = lambda: None

    @override
    async def write_dead_letter(self, cause: Delivery, headers: list[tuple[str, bytes]]) -> None:
        self.dead_letters += 1

    @override
    async def write(self, envelopes: Sequence[Envelope]) -> None:
        kinds = {KAFKA.topic(CALLS): CallRow, KAFKA.topic(COMPLETIONS): Completion, KAFKA.topic(HANDOVERS): HandedOver}
        self.takes()
        self.events += [kinds[envelope.topic].decode(envelope.value) for envelope in envelopes]

    @property
    def shape(self) -> list[str]:
        """What was written, in order, without its particulars."""
        return [shape(event) for event in self.events]


class Unheard(Written):
    """Takes everything, and of a completion never says so."""

    def __init__(self) -> None:
        super().__init__()
        self.has_completion = asyncio.Event()

    @override
    async def write(self, envelopes: Sequence[Envelope]) -> None:
        await super().write(envelopes)
        if isinstance(self.events[-1], Completion):
            self.has_completion.set()
            await asyncio.Event().wait()


def shape(event: CallRow | Completion | HandedOver) -> str:
    match event:
        case CallRow():
            return f"{event.phase} {event.attempt_no}"
        case Completion():
            return event.status
        case HandedOver():
            return "stopped" if event.until_ms is None else "handed over"


def nobody_else(here: World) -> Others:
    timeline = Timeline(NOW_MS)
    clients = FakeClients(Host("me", Cluster(timeline, session_ms=6_000), Steady(timeline)), KAFKA)
    reader = TableReader(clients, "invoke", Metrics())
    return Others(clients, reader, KAFKA, me="me", window_ms=0, now_ms=lambda: here.now_ms)


@dataclass
class Bench:
    """One worker's work; `during` happens while the provider is asked; `pulse_s` is the time by its pulse, which was
    last felt at 0.
    """

    here: World
    written: Written = field(default_factory=Written)
    pulse_s: Callable[[], float] = lambda: 0.0
    losses: int = 0

    def __post_init__(self) -> None:
        self.pulse = Pulse(LIMIT_S, self._lose, self._now_s)
        self.pulse.heard(0)
        self.work = Work(
            self.written,
            self.here.caller(),
            nobody_else(self.here),
            KAFKA,
            lambda: self.here.now_ms,
            Metrics(),
            self.pulse,
            Spill("invoke", WorkerSettings()),
        )

    def _now_s(self) -> float:
        return self.pulse_s()

    def _lose(self) -> None:
        self.losses += 1
        self.work.lose()

    def during(self, *steps: Callable[[], Awaitable[object]] | Callable[[], None]) -> None:
        """The first at the first question, and so on."""
        left = list(steps)

        async def step() -> None:
            if left and (awaited := left.pop(0)()) is not None:
                await awaited

        self.here.before_asking = step

    async def do(self, asked: Dispatch) -> bool:
        """Whether the event is finished."""
        delivery = Delivery("llm.dispatch.normal", 0, 7, b"r-1", asked.encode(), (), NOW_MS)
        return await self.work.do(delivery, nullcontext)


def bench(*script: Reply | ProviderError) -> Bench:
    return Bench(world(*script, control=control(deployment())))

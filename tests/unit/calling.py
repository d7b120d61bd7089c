"""A caller with its surroundings: a clock that moves only when told, a ledger, and providers that follow a script."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from schemas.call import CallRow
from schemas.control import Deployment
from schemas.flow import Completion, Dispatch
from streams.control import ControlView
from streams.invoke.caller import Caller, Surroundings
from streams.observe.metrics import Metrics
from streams.providers.protocol import (
    Lost,
    ProviderError,
    Question,
    Reply,
    TurnedAway,
)
from streams.stages.invoke import Backoff
from tests.fakes.provider import FakeProvider
from tests.unit.examples import (
    NOW_MS,
    control,
    deployment,
)

CALL_MS = 70
WRITE_MS = 5
BUSY = TurnedAway("overloaded", "The provider refused (HTTP 529): it is overloaded; wait.", http_status=529)
LOST = Lost("timeout", "The provider did not answer in time: allow more time or ask for less.")
ELSEWHERE = control(deployment("other"))


class LedgerIsDown(Exception):
    """The broker does not take a row."""


@dataclass
class World:
    """Time that passes only when something takes time; what is written and asked, in order."""

    control: ControlView = field(default_factory=lambda: ELSEWHERE)
    now_ms: int = NOW_MS
    events: list[str] = field(default_factory=list[str])
    rows: list[CallRow] = field(default_factory=list[CallRow])
    naps_ms: list[int] = field(default_factory=list[int])
    providers: dict[str, FakeProvider] = field(default_factory=dict[str, FakeProvider])
    metrics: Metrics = field(default_factory=Metrics)
    while_asleep: Callable[[], None] = lambda: None
    ledger_breaks_after: int | None = None
    before_asking: Callable[[], Awaitable[None]] | None = None

    async def ask(self, deployment: Deployment, question: Question) -> Reply:
        self.events.append(f"ask {deployment.name}")
        if self.before_asking is not None:
            await self.before_asking()
        self.now_ms += CALL_MS
        return await self.providers[deployment.name].ask(question)

    async def book(self, row: CallRow) -> None:
        if self.ledger_breaks_after is not None and len(self.rows) >= self.ledger_breaks_after:
            raise LedgerIsDown
        self.now_ms += WRITE_MS
        self.events.append(f"{row.phase} {row.attempt_id}")
        self.rows.append(row)

    async def sleep_s(self, seconds: float) -> None:
        self.naps_ms.append(round(seconds * 1_000))
        self.now_ms += self.naps_ms[-1]
        self.while_asleep()

    def new_id(self) -> str:
        return f"attempt-{len([event for event in self.events if event.startswith('started')]) + 1}"

    def caller(self) -> Caller:
        world = Surroundings(lambda: self.now_ms, self.new_id, self.sleep_s)
        return Caller(self, lambda: self.control, world, Backoff(200, 5_000), self.metrics)

    async def complete(self, asked: Dispatch) -> Completion:
        return await self.caller().complete(asked, self.book)

    @property
    def phases(self) -> list[tuple[str, str]]:
        return [(row.attempt_id, row.phase) for row in self.rows]


def world(*script: Reply | ProviderError, other: FakeProvider | None = None, **changes: Any) -> World:
    """`openai-1` does as the script says, `other` answers."""
    return World(providers={"openai-1": FakeProvider(*script), "other": other or FakeProvider()}, **changes)

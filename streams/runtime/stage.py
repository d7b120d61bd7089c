"""What a stage is: a pure decision, what it reads, and the tables its state is rebuilt from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

from msgspec import Struct

from schemas.base import Event
from schemas.flow import CacheSlot, Completion, Round, StageName, Ticket
from schemas.response import Failure
from schemas.topics import COMPLETIONS, Topic
from schemas.wire import DecodeError, InternalEvent
from streams.control import ControlView
from streams.observe.metrics import Metrics
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import Outcome, Record

E = TypeVar("E")


class State(Protocol):
    """What a stage knows about one partition. Only table records change it."""

    def apply(self, event: Event, now_ms: int) -> Sequence[str]:
        """Takes one table record in, old or new, and names the keys whose parked events should be decided again."""
        ...

    def __len__(self) -> int:
        """Entries held in memory, whatever they are."""
        ...


class Stateless:
    def apply(self, event: Event, now_ms: int) -> Sequence[str]:
        raise TypeError(f"a stage without a table was given {type(event).__name__} at {now_ms}")

    def __len__(self) -> int:
        return 0


S = TypeVar("S", bound=State)


def _nobody_measures() -> int:
    return 0


class View(Struct, Generic[S], frozen=True):
    """All a decision may look at besides its event. `parked_ms` is when the event was first held back, if it was.
    `clock_us` is for how long a part of the decision takes, and says nothing of the time of day.
    """

    control: ControlView
    state: S
    now_ms: int
    delivery: Delivery
    parked_ms: int | None = None
    clock_us: Callable[[], int] = _nobody_measures


@dataclass(frozen=True, slots=True)
class Requester:
    """Who must be told when an event cannot be handled. `slot`: others may be waiting for the same answer. `round`: of
    its attempts nothing is known here.
    """

    ticket: Ticket
    slot: CacheSlot | None = None
    round: Round | None = None


class _Numbered(InternalEvent):
    number: int


class _Common(InternalEvent):
    """What all internal events about a request have in common."""

    ticket: Ticket
    slot: CacheSlot | None = None
    round: _Numbered | None = None


def requester_of(delivery: Delivery) -> Requester | None:
    """From an internal event that could not be handled; None when even that cannot be read."""
    try:
        common = _Common.decode(delivery.value or b"")
    except DecodeError:
        return None
    asked = None if common.round is None else Round(number=common.round.number, attempts=())
    return Requester(common.ticket, common.slot, asked)


def read_event(topic: Topic, delivery: Delivery) -> Any:
    """Raises ValueError when the value is not what the topic carries."""
    if topic.events is None:
        raise TypeError(f"topic {topic.name} carries no events")
    return topic.events.decode(delivery.value or b"")


def completion_record(completion: Completion) -> Record:
    return Record(COMPLETIONS, completion.ticket.request_id, completion)


def complete_as_failed(requester: Requester, failure: Failure, _state: State, _now_ms: int) -> tuple[Record, ...]:
    completion = Completion(
        ticket=requester.ticket, slot=requester.slot, round=requester.round, status="failed", failure=failure
    )
    return (completion_record(completion),)


@dataclass(frozen=True, slots=True)
class Stage(Generic[E, S]):
    """`restore` "whole" reads the tables back from their beginning, "window" only so far as events that are still
    unfinished, or may still be delivered again, could have left a mark on them; `window_ms`, by the configuration, is
    how far before those, in place of what the worker's settings say.
    `follow`: others write to the tables too, so they are read on after the state is restored.
    `changelog_first`: what others act on is written only once the tables know of it, so that what was decided and seen
    by anybody is never decided otherwise when it is taken again. A batch then waits for the broker twice.
    `prepare`: loads what the first decision would otherwise wait for.
    `holds`: of these inputs the stage itself bounds how many are held back and for how long; they are no sign of a
    worker that does not get on, and hold up nobody else.
    `measure`: what to count about each event the stage writes.
    `give_up`: how the requester is told when the decision itself fails.
    """

    name: StageName
    reads: tuple[Topic, ...]
    writes: tuple[Topic, ...]
    decide: Callable[[E, View[S]], Outcome]
    state: Callable[[], S]
    parse: Callable[[Topic, Delivery], E] = read_event
    tables: tuple[Topic, ...] = ()
    follow: bool = False
    changelog_first: bool = False
    holds: tuple[Topic, ...] = ()
    restore: Literal["whole", "window"] = "whole"
    window_ms: Callable[[ControlView], int] | None = None
    requester: Callable[[Delivery], Requester | None] = requester_of
    prepare: Callable[[], None] | None = None
    measure: Callable[[Event, Metrics], None] | None = None
    give_up: Callable[[Requester, Failure, S, int], tuple[Record, ...]] = complete_as_failed

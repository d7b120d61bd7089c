"""What a stage is: a pure decision, what it reads, and the table its state is rebuilt from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

from pydantic import ValidationError

from schemas.base import Event, load_json
from schemas.flow import Completion, StageName, Ticket
from schemas.response import Failure
from schemas.topics import COMPLETIONS, Topic
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


class Stateless:
    def apply(self, event: Event, now_ms: int) -> Sequence[str]:
        raise TypeError(f"a stage without a table was given {type(event).__name__} at {now_ms}")


S = TypeVar("S", bound=State)


@dataclass(frozen=True, slots=True)
class View(Generic[S]):
    """All a decision may look at besides its event. `parked_ms` is when the event was first held back, if it was."""

    control: ControlView
    state: S
    now_ms: int
    delivery: Delivery
    parked_ms: int | None = None


def ticket_of(delivery: Delivery) -> Ticket | None:
    """Who must be told when an internal event cannot be handled; None when even that cannot be read."""
    try:
        content = load_json(delivery.value or b"")
        return Ticket.model_validate(content["ticket"] if isinstance(content, dict) else None)
    except (ValueError, KeyError, ValidationError):
        return None


def read_event(topic: Topic, delivery: Delivery) -> Any:
    """Raises ValueError (pydantic's) when the value is not what the topic carries."""
    if topic.adapter is None:
        raise TypeError(f"topic {topic.name} carries no events")
    return topic.adapter.validate_json(delivery.value or b"")


def completion_record(completion: Completion) -> Record:
    return Record(COMPLETIONS, completion.ticket.request_id, completion)


def complete_as_failed(ticket: Ticket, failure: Failure, _now_ms: int) -> tuple[Record, ...]:
    return (completion_record(Completion(ticket=ticket, status="failed", failure=failure)),)


@dataclass(frozen=True, slots=True)
class Stage(Generic[E, S]):
    """`restore` "whole" reads the table back from its beginning, "window" only so far as events that are still
    unfinished, or may still be delivered again, could have left a mark on it.
    `follow`: others write to the table too, so it is read on after the state is restored.
    `prepare`: loads what the first decision would otherwise wait for.
    `measure`: what to count about each event the stage writes.
    `give_up`: how the requester is told when the decision itself fails.
    """

    name: StageName
    reads: tuple[Topic, ...]
    writes: tuple[Topic, ...]
    decide: Callable[[E, View[S]], Outcome]
    state: Callable[[], S]
    parse: Callable[[Topic, Delivery], E] = read_event
    table: Topic | None = None
    follow: bool = False
    restore: Literal["whole", "window"] = "whole"
    requester: Callable[[Delivery], Ticket | None] = ticket_of
    prepare: Callable[[], None] | None = None
    measure: Callable[[Event, Metrics], None] | None = None
    give_up: Callable[[Ticket, Failure, int], tuple[Record, ...]] = complete_as_failed

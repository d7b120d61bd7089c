"""What one kind of schedule is about: a part of the pipeline, what comes in, and what must have come of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.topics import Topic
from streams.runtime.stage import State
from tests.fakes.kafka.log import Stored
from tests.simulated.world import Part, World


def no_state(_world: World, _state: State) -> Any:
    return None


@dataclass(frozen=True, slots=True)
class Scenario:
    """`feed` writes the inputs, spread over time, and sets up who answers what the stage writes.
    `leaves_nothing`: that no record need come of an input.
    `judge` returns what is wrong when all is done.
    `picture`: of a state, what must be equal wherever it is held.
    `outcomes`: topics on which a record ends an input; all, when none is named.
    """

    name: str
    part: Part
    feed: Callable[[World], None]
    judge: Callable[[World], list[str]]
    leaves_nothing: Callable[[World, Stored], bool]
    picture: Callable[[World, State], Any] = no_state
    outcomes: tuple[Topic, ...] = ()


Scenarios = Mapping[str, Scenario]

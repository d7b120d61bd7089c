"""What one kind of schedule is about: a stage, what comes in, and what must have come of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from streams.runtime.stage import Stage, State
from tests.fakes.kafka.log import Stored
from tests.simulated.world import World


def no_state(_world: World, _state: State) -> Any:
    return None


@dataclass(frozen=True, slots=True)
class Scenario:
    """`feed` writes the inputs, spread over time, and sets up who answers what the stage writes.
    `leaves_nothing`: that no record need come of an input.
    `judge` returns what is wrong when all is done.
    `picture`: of a state, what must be equal wherever it is held.
    """

    name: str
    stage: Stage[Any, Any]
    feed: Callable[[World], None]
    judge: Callable[[World], list[str]]
    leaves_nothing: Callable[[World, Stored], bool]
    picture: Callable[[World, State], Any] = no_state


Scenarios = Mapping[str, Scenario]

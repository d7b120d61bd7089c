"""A further worker whose start meets an outage is begun again, and one that never starts is told."""

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from scripts.chaos.faults.scale import FurtherWorker
from scripts.stack.errors import StartError


@dataclass(frozen=True)
class Part:
    name: str
    ready_within_s: float


@dataclass
class Stack:
    """Its own supervisor: refuses as many starts as it is told to."""

    refusals: int
    ready_within_s: float
    starts: list[str] = field(default_factory=list[str])

    @property
    def supervisor(self) -> "Stack":
        return self

    def part(self, name: str, *_arguments: str) -> Part:
        return Part(name, self.ready_within_s)

    def start(self, part: Part) -> None:
        self.starts.append(part.name)
        if len(self.starts) <= self.refusals:
            raise StartError("Kafka does not answer")


@dataclass(frozen=True)
class System:
    stack: Stack


def further(stack: Stack) -> FurtherWorker:
    return FurtherWorker(cast("Any", System(stack)), "cache", "cache-3")


def test_a_start_that_ends_because_brokers_are_away_is_tried_again() -> None:
    stack = Stack(refusals=2, ready_within_s=60)
    further(stack).inject()
    assert stack.starts == ["cache-3"] * 3


def test_a_worker_that_never_starts_is_told_when_its_time_is_over() -> None:
    stack = Stack(refusals=1_000_000, ready_within_s=0.01)
    with pytest.raises(StartError):
        further(stack).inject()
    assert len(stack.starts) > 1

"""What chance decides in a cluster, so that a schedule can decide it."""

from typing import Literal, Protocol

from tests.fakes.kafka.timeline import Timeline

Mishap = Literal[
    "fetch waits",  # a partition's records are there, and come with a later fetch
    "serves less",  # the leader is new: it serves what it knows all copies to have, and calls that the end
    "end unknown",  # the same leader, asked for the end, or for where a time begins
    "leader replaced",  # between two requests of a producer that it does not know: it takes the second only
    "reply lost",  # the broker did what it was asked to, and the client does not hear of it
    "queue full",  # the producer takes no more records for the moment
    "sent late",  # what was given up, or whose process is gone, was on its way: it is written later
    "told as lost",  # partitions that were to be given up and are lost meanwhile: else as if nothing were amiss
    "stays fetched",  # records of a partition that is paused after they were fetched are handed out
]


class Conditions(Protocol):
    def step(self, call: str) -> None:
        """A client is about to ask something of the cluster. Others may go on first; may never return."""
        ...

    def wait(self, until_ms: int) -> None:
        """Returns then, or earlier when something happened."""
        ...

    def latency_ms(self) -> int:
        """One way between a client and the cluster."""
        ...

    def up_to(self, most: int) -> int:
        """0 to `most`, both included."""
        ...

    def happens(self, mishap: Mishap) -> bool: ...


class Steady:
    """Nothing unforeseen: one thread, a millisecond each way, everything that is there comes at once."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    def step(self, call: str) -> None:
        """Nobody else to go on."""

    def wait(self, until_ms: int) -> None:
        next_ms = self._timeline.next_ms
        self._timeline.advance(until_ms if next_ms is None else min(next_ms, until_ms))

    def latency_ms(self) -> int:
        return 1

    def up_to(self, most: int) -> int:
        return most

    def happens(self, mishap: Mishap) -> bool:  # noqa: ARG002  # none does
        return False

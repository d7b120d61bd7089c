"""What a decision may ask of the shell. The union is closed: the shell matches it exhaustively."""

from typing import Literal

from msgspec import Struct

from schemas.base import Event
from schemas.flow import Completion
from schemas.topics import Topic

Reason = Literal[
    "empty_value",  # a request without a value
    "no_request_id",  # a request that does not say under which id to answer it
    "request_id_reused",  # its id was used before for other content
    "unreadable",  # not what the topic carries, as far as this release knows
    "decision_failed",  # the decision raised, or what it led to does not fit on its topic
    "row_refused",  # ClickHouse does not take the row
]
OUR_FAULT: frozenset[Reason] = frozenset({"unreadable", "decision_failed", "row_refused"})
"""The others are what a producer did: however many there are, the stage is sound."""


class Record(Struct, frozen=True):
    """One event for one topic. `partition_by` decides the partition where that is not the key's business.

    A record for one of the stage's own tables is also applied to its state, at once.
    """

    topic: Topic
    key: str
    event: Event
    partition_by: str | None = None


class Forward(Struct, frozen=True):
    """The event goes on; everything it caused is written before its offset may be committed."""

    records: tuple[Record, ...]


class Finish(Struct, frozen=True):
    """The request ends here: its completion goes to `postprocess`, the one door to the response topic."""

    completion: Completion
    records: tuple[Record, ...] = ()


class Park(Struct, frozen=True):
    """Decide again when `on` is woken by the stage's table, at the latest at `until_ms`. The offset stays open."""

    on: str
    until_ms: int


class Absorb(Struct, frozen=True):
    """Nothing is left to do: it has been done before, or, when that `is_routine`, there never was anything."""

    reason: str
    is_routine: bool = False


class DeadLetter(Struct, frozen=True):
    """It cannot be handled. `detail` is shown to the operator: no payload in it. `is_told`: the requester has, or gets,
    word that it failed, and so its terminal response.
    """

    reason: Reason
    detail: str
    is_told: bool = False


Outcome = Forward | Finish | Park | Absorb | DeadLetter

"""What a decision may ask of the shell. The union is closed: the shell matches it exhaustively."""

from msgspec import Struct

from schemas.base import Event
from schemas.flow import Completion
from schemas.topics import Topic


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
    """It cannot be handled and there is nobody to answer. `detail` is shown to the operator: no payload in it."""

    reason: str
    detail: str


Outcome = Forward | Finish | Park | Absorb | DeadLetter

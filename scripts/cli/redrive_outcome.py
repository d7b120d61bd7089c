"""What giving a dead letter back comes to."""

from dataclasses import dataclass

from streams.runtime.outcome import Record


@dataclass(frozen=True, slots=True)
class PutBack:
    """The very bytes, to `topic`, which is its full name."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class DoneAgain:
    """`record` takes the request up again, as `request_id`, and makes `made_good` good. `end` is what whoever waits for
    that one is told, where nothing was told yet. `lost`: what its request may have said and the record does not.
    """

    record: Record
    tenant_id: str
    request_id: str
    root_request_id: str
    made_good: str
    end: Record | None = None
    lost: tuple[str, ...] = ()
    paid_calls: int = 0


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why it cannot be given back, and what can be done instead."""

    why: str


Redrive = PutBack | DoneAgain | Unfit

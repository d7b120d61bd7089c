"""What `validate` makes of a record, where it is known what it must make of it."""

from typing import Any

from schemas.flow import Accepted, Refused
from schemas.topics import VALIDATED
from streams.control import ControlView
from streams.runtime.outcome import Outcome
from streams.runtime.stage import Stateless
from streams.stages.validate import decide
from tests.unit.examples import delivery as record
from tests.unit.examples import forwarded, view


def outcome_of(value: bytes | None, *, configured: ControlView | None = None, **changes: Any) -> Outcome:
    delivered = record(value, **changes)
    return decide(delivered, view(Stateless(), control=configured, delivery=delivered))


def accepted(value: bytes, **changes: Any) -> Accepted:
    (sent,) = forwarded(outcome_of(value, **changes))
    assert sent.topic is VALIDATED
    assert isinstance(sent.event, Accepted), sent.event
    return sent.event


def refused(value: bytes, **changes: Any) -> Refused:
    (sent,) = forwarded(outcome_of(value, **changes))
    assert sent.topic is VALIDATED
    assert isinstance(sent.event, Refused), sent.event
    return sent.event

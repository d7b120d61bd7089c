"""Dead letters as stages write them, and what giving one back comes to."""

from collections.abc import Callable
from typing import Any

import pytest

from schemas.audit import Audit
from schemas.base import Event
from schemas.flow import Accepted, Deferred
from schemas.topics import (
    ADMITTED,
    DEFERRED,
    DISPATCH,
    MISSES,
    TOPICS,
    VALIDATED,
    Topic,
)
from scripts.cli.dead_letter import dead_letter
from scripts.cli.redrive import Consent, Grounds, redrive
from scripts.cli.redrive_outcome import DoneAgain, Redrive
from scripts.cli.redrive_past import SUBJECT, Past, past_of
from streams.control import ControlView
from streams.runtime.deadletter import dead_letter_headers
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import DeadLetter, Reason
from tests.unit.examples import (
    KEY,
    NOW_MS,
    accepted,
    admitted,
    bearing,
    control,
    dispatch,
    miss,
    ticket,
)

pytestmark = pytest.mark.filterwarnings("ignore:open_binary is deprecated:DeprecationWarning")


LATER_MS = NOW_MS + 3_600_000


BY_NAME = {f"llm.{topic.name}": topic for topic in TOPICS}


def letter(
    topic: Topic,
    value: bytes | None,
    *,
    told: bool = True,
    reason: Reason = "decision_failed",
    at: tuple[int, int] = (3, 17),
    **changes: Any,
) -> Delivery:
    """As the stage wrote it, at 3/17."""
    facts: dict[str, Any] = {
        "partition": 1,
        "offset": 91,
        "key": b"a key",
        "headers": (*bearing(KEY), ("x-team", b"blue")),
    }
    cause = Delivery(topic=f"llm.{topic.name}", value=value, timestamp_ms=NOW_MS, **{**facts, **changes})
    headers = dead_letter_headers(cause, "route", DeadLetter(reason, "KeyError", is_told=told), NOW_MS)
    return Delivery("llm.dlq", *at, cause.key, cause.value, tuple(headers), NOW_MS)


def given_back(
    record: Delivery,
    *consents: Consent,
    past: Past | None = None,
    model: str | None = None,
    view: ControlView | None = None,
    now_ms: int = LATER_MS,
) -> Redrive:
    allowed = frozenset(consents)
    grounds = Grounds(
        view or control(), past or Past(), BY_NAME, partitions=4, now_ms=now_ms, model=model, consents=allowed
    )
    return redrive(dead_letter(record), record, grounds)


def given_before(record: Delivery, at_ms: int = LATER_MS, **detail: str) -> Past:
    """As `llm.audit` says of a letter that was given back."""
    found = dead_letter(record)
    audit = Audit(
        action="redriven",
        subject=f"{SUBJECT}{found.place}",
        by="ops",
        reason="fixed",
        detail={"origin": found.origin, **detail},
        at_ms=at_ms,
    )
    return past_of(
        [Delivery("llm.audit", 0, at, None, value, (), 0) for at, value in enumerate((audit.encode(), b"?"))]
    )


def done_again(redriven: Redrive) -> DoneAgain:
    assert isinstance(redriven, DoneAgain), redriven
    return redriven


def question(redriven: Redrive) -> Accepted:
    event = done_again(redriven).record.event
    assert isinstance(event, Accepted)
    return event


def _a_miss(**changes: Any) -> Event:
    return miss(**changes)


def _a_dispatch(**changes: Any) -> Event:
    return dispatch(ticket_=ticket(**changes))


def deferred(**changes: Any) -> Deferred:
    asked = accepted(**changes)
    return Deferred(
        ticket=asked.ticket,
        prompt=asked.prompt,
        digest=asked.digest,
        input_tokens=asked.input_tokens,
        summary=asked.summary,
        until_ms=LATER_MS,
    )


QUESTIONS: dict[str, tuple[Topic, Callable[..., Event]]] = {
    "validated": (VALIDATED, accepted),
    "deferred": (DEFERRED, deferred),
    "admitted": (ADMITTED, admitted),
    "a miss": (MISSES, _a_miss),
    "a dispatch": (DISPATCH["low"], _a_dispatch),
}
each_question = pytest.mark.parametrize(("topic", "make"), QUESTIONS.values(), ids=QUESTIONS.keys())

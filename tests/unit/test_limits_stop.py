"""A tenant that is stopped is told why and until when, and is let through again by time alone."""

from typing import Any

import pytest

from schemas.money import SpendStop
from streams.control import ControlView, with_object
from streams.limits_stop import stopped

SINCE_MS, UNTIL_MS = 1_795_000_000_000, 1_795_000_300_000


def view(**changes: Any) -> ControlView:
    facts: dict[str, Any] = {
        "name": "acme",
        "usd_per_minute": "12.75",
        "threshold_usd": "10",
        "since_ms": SINCE_MS,
        "until_ms": UNTIL_MS,
        **changes,
    }
    return with_object(ControlView(), SpendStop(**facts), 3)


def test_a_stopped_tenant_is_told_what_it_spent_the_threshold_and_when_to_come_back() -> None:
    failure = stopped(view(), "acme", UNTIL_MS - 61_500)

    assert failure is not None
    assert (failure.code, failure.retryable, failure.retry_after_ms) == ("spend_stopped", True, 61_500)
    assert "12.75 USD in a minute" in failure.message
    assert "above 10;" in failure.message
    assert "in 62 s" in failure.message


@pytest.mark.parametrize(
    ("now_ms", "is_stopped"),
    [(SINCE_MS - 1, False), (SINCE_MS, True), (UNTIL_MS - 1, True), (UNTIL_MS, False)],
)
def test_a_stop_begins_and_ends_by_time(now_ms: int, *, is_stopped: bool) -> None:
    assert (stopped(view(), "acme", now_ms) is not None) == is_stopped


def test_who_is_not_stopped_or_was_let_go_passes() -> None:
    assert stopped(view(), "globex", SINCE_MS) is None
    assert stopped(ControlView(), "acme", SINCE_MS) is None
    assert stopped(view(until_ms=SINCE_MS, by="ada"), "acme", SINCE_MS) is None

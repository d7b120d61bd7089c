"""Nothing is committed before the broker has what it stands for."""

from dataclasses import dataclass
from typing import Any

import pytest

from streams.watch.deliveries import Deliveries

NOBODY: Any = None


@dataclass
class Buffer:
    """Faust's: the loop comes round, and one more of its records is handed on."""

    deliveries: Deliveries
    waiting: int = 0

    @property
    def size(self) -> int:
        before = self.waiting
        if self.waiting:
            self.waiting -= 1
            self.deliveries.on_send_completed(NOBODY, begin(self.deliveries), NOBODY)
        return before


def begin(deliveries: Deliveries) -> int:
    return deliveries.on_send_initiated(NOBODY, "changelog", NOBODY, 1, 1)


@pytest.mark.asyncio
async def test_with_nothing_under_way_a_commit_may_be_made_at_once() -> None:
    deliveries = Deliveries()
    deliveries.on_send_completed(NOBODY, begin(deliveries), NOBODY)
    assert await deliveries.settled(Buffer(deliveries), 1)


@pytest.mark.asyncio
async def test_a_commit_waits_for_changes_that_are_not_even_sent() -> None:
    deliveries = Deliveries()
    buffer = Buffer(deliveries, waiting=3)
    assert await deliveries.settled(buffer, 10)
    assert buffer.waiting == 0


@pytest.mark.asyncio
async def test_no_commit_is_made_while_a_record_is_under_way() -> None:
    deliveries = Deliveries()
    begin(deliveries)
    assert not await deliveries.settled(Buffer(deliveries), 0.1)
    assert deliveries.refused is None


@pytest.mark.asyncio
async def test_once_a_record_was_refused_nothing_is_ever_committed() -> None:
    deliveries = Deliveries()
    problem = TimeoutError()
    deliveries.on_send_error(NOBODY, problem, begin(deliveries))
    deliveries.on_send_error(NOBODY, ValueError(), begin(deliveries))

    assert deliveries.refused is problem
    assert not await deliveries.settled(Buffer(deliveries), 1)

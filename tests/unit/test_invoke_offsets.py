"""Only the owner of a partition commits for it, whatever aiokafka would still ask for on its behalf."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest
from aiokafka import TopicPartition

from streams.invoke.offsets import Offsets
from tests.unit.examples import NOW_MS

WHERE = TopicPartition("llm.dispatch.normal", 0)


class Coordinator:
    generation = 3


class Consumer:
    """Takes every commit, at once when its broker can be reached."""

    def __init__(self) -> None:
        self._coordinator = Coordinator()
        self.asked = asyncio.Event()
        self.reached = asyncio.Event()
        self.reached.set()
        self.committed: list[dict[TopicPartition, int]] = []

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self.asked.set()
        await self.reached.wait()
        self.committed.append(dict(offsets))

    def is_put_out(self) -> None:
        self._coordinator.generation = -1


def finished(consumer: Consumer, *, upto: int) -> Offsets:
    offsets = Offsets(cast("Any", consumer), lambda: NOW_MS)
    offsets.begin({WHERE: 0})
    for offset in range(upto):
        offsets.frontiers[WHERE].take(offset)
        offsets.frontiers[WHERE].finish(offset)
    return offsets


@pytest.mark.asyncio
async def test_what_was_asked_before_the_partitions_went_is_not_asked_again_after_that() -> None:
    consumer = Consumer()
    offsets = finished(consumer, upto=1)
    consumer.reached.clear()
    asked = asyncio.create_task(offsets.commit())
    await consumer.asked.wait()

    offsets.void()
    consumer.reached.set()

    assert await asked
    assert consumer.committed == []


@pytest.mark.asyncio
async def test_a_commit_takes_the_place_of_the_one_that_is_still_being_asked_for() -> None:
    consumer = Consumer()
    offsets = finished(consumer, upto=1)
    consumer.reached.clear()
    asked = asyncio.create_task(offsets.commit())
    await consumer.asked.wait()

    offsets.frontiers[WHERE].take(1)
    offsets.frontiers[WHERE].finish(1)
    again = asyncio.create_task(offsets.commit())
    await asked
    consumer.reached.set()
    assert await again
    assert consumer.committed == [{WHERE: 2}]


@pytest.mark.asyncio
async def test_who_was_put_out_of_the_group_commits_nothing_and_the_next_assignment_starts_anew() -> None:
    consumer = Consumer()
    offsets = finished(consumer, upto=1)
    assert await offsets.commit()
    consumer.is_put_out()
    offsets.frontiers[WHERE].take(1)
    offsets.frontiers[WHERE].finish(1)
    assert await offsets.commit()

    assert consumer.committed == [{WHERE: 1}]
    assert offsets.committed == {WHERE: 1}

"""Only a member of the group commits: once put out, aiokafka asks under no name, and an empty group takes that."""

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
    """Takes every commit."""

    def __init__(self) -> None:
        self._coordinator = Coordinator()
        self.committed: list[dict[TopicPartition, int]] = []

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self.committed.append(dict(offsets))

    def is_put_out(self) -> None:
        self._coordinator.generation = -1


@pytest.mark.asyncio
async def test_who_was_put_out_of_the_group_commits_nothing_and_the_next_assignment_starts_anew() -> None:
    consumer = Consumer()
    offsets = Offsets(cast("Any", consumer), lambda: NOW_MS)
    offsets.begin({WHERE: 0})
    for offset in (0, 1):
        offsets.frontiers[WHERE].take(offset)

    offsets.frontiers[WHERE].finish(0)
    assert await offsets.commit()
    consumer.is_put_out()
    offsets.frontiers[WHERE].finish(1)
    assert await offsets.commit()

    assert consumer.committed == [{WHERE: 1}]
    assert offsets.committed == {WHERE: 1}

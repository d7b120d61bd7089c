"""Only the owner of a partition commits for it, whatever aiokafka would still ask for on its behalf."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest
from aiokafka import TopicPartition

from streams.invoke.offsets import Offsets
from streams.invoke.pulse import Pulse
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
        self.taken = asyncio.Event()
        self.committed: list[dict[TopicPartition, int]] = []

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self.asked.set()
        await self.reached.wait()
        self.committed.append(dict(offsets))
        self.taken.set()

    def is_put_out(self) -> None:
        self._coordinator.generation = -1


class Clock:
    now_s = 100.0


def pulse_at(clock: Clock) -> Pulse:
    return Pulse(8.0, lambda: None, lambda: clock.now_s)


def finished(consumer: Consumer, *, upto: int, pulse: Pulse | None = None) -> Offsets:
    offsets = Offsets(cast("Any", consumer), pulse or pulse_at(Clock()), lambda: NOW_MS)
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


@pytest.mark.asyncio
async def test_who_has_nothing_new_to_commit_commits_where_it_stands_to_be_counted_on() -> None:
    consumer, clock = Consumer(), Clock()
    pulse = pulse_at(clock)
    offsets = finished(consumer, upto=0, pulse=pulse)
    await offsets.prove()
    assert pulse.is_felt
    await offsets.prove()
    clock.now_s += 2
    await offsets.prove()

    assert consumer.committed == [{WHERE: 0}, {WHERE: 0}]
    assert not pulse.is_fading


@pytest.mark.asyncio
async def test_who_was_put_out_is_not_counted_on() -> None:
    consumer, pulse = Consumer(), pulse_at(Clock())
    consumer.is_put_out()
    await finished(consumer, upto=1, pulse=pulse).prove()

    assert not pulse.is_felt


@pytest.mark.asyncio
async def test_a_commit_that_is_taken_after_the_partitions_went_proves_nothing_for_the_next() -> None:
    consumer, pulse = Consumer(), pulse_at(Clock())
    offsets = finished(consumer, upto=1, pulse=pulse)
    consumer.reached.clear()
    asked = asyncio.create_task(offsets.commit())
    await consumer.asked.wait()

    consumer.reached.set()
    await consumer.taken.wait()
    offsets.void()
    await asked

    assert not pulse.is_felt


def test_whoever_divides_by_partitions_is_told_which_are_ours_and_when_none_is() -> None:
    told: list[frozenset[int]] = []
    offsets = Offsets(cast("Any", Consumer()), pulse_at(Clock()), lambda: NOW_MS, told.append)

    offsets.begin({TopicPartition(f"llm.dispatch.{lane}", p): 0 for lane in ("high", "low") for p in (1, 4)})
    offsets.void()

    assert told == [frozenset({1, 4}), frozenset()]

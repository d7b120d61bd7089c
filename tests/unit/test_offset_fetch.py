"""A coordinator that cannot say yet what is committed is asked again, and never taken to have said: nothing."""

import asyncio
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import GroupAuthorizationFailedError

from streams.runtime.offset_fetch import (
    UNSTABLE_OFFSET_COMMIT,
    OffsetFetchResponseV7,
    StableOffsetFetch,
    tell_the_truth_of_offsets,
)

AIOKAFKA = cast("Any", GroupCoordinator)
WHERE = TopicPartition("llm.dispatch.high", 0)


def told(offset: int, code: int = 0) -> OffsetFetchResponseV7:
    return OffsetFetchResponseV7(0, [("llm.dispatch.high", [(0, offset, 3, "", code, {})], {})], 0, {})


def refused(code: int) -> OffsetFetchResponseV7:
    return OffsetFetchResponseV7(0, [], code, {})


class Coordinator:
    """What aiokafka's own has to do with fetching offsets; its answers are given, one after the other."""

    def __init__(self, *answers: Any) -> None:
        self.group_id = "millrace.invoke"
        self._retry_backoff_ms = 0
        self._answers = list(answers)
        self.looked_for = 0

    async def ensure_coordinator_known(self) -> None:
        pass

    def coordinator_dead(self) -> None:
        self.looked_for += 1

    async def _send_req(self, request: Any) -> Any:
        assert isinstance(request, StableOffsetFetch)
        return self._answers.pop(0)

    fetch_committed_offsets = AIOKAFKA.fetch_committed_offsets
    _do_fetch_commit_offsets = AIOKAFKA._do_fetch_commit_offsets


class Consumer:
    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator


def committed(coordinator: Coordinator) -> int:
    tell_the_truth_of_offsets(cast("AIOKafkaConsumer", Consumer(coordinator)))
    found = asyncio.run(coordinator.fetch_committed_offsets([WHERE]))
    return found[WHERE].offset


@pytest.mark.parametrize(("code", "moved"), [(14, 0), (15, 1), (16, 1)])
def test_a_coordinator_that_is_loading_or_has_moved_is_asked_until_it_knows(code: int, moved: int) -> None:
    coordinator = Coordinator(refused(code), told(41))
    assert committed(coordinator) == 41
    assert coordinator.looked_for == moved


def test_who_may_not_ask_is_told_so() -> None:
    with pytest.raises(GroupAuthorizationFailedError):
        committed(Coordinator(refused(30)))


def test_a_commit_that_is_not_settled_yet_is_waited_for() -> None:
    assert committed(Coordinator(told(-1, UNSTABLE_OFFSET_COMMIT), told(41))) == 41

"""A coordinator that cannot say yet what is committed is asked again, and never taken to have said: nothing."""

import asyncio
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import GroupAuthorizationFailedError
from aiokafka.protocol.commit import OffsetFetchResponse_v3

from streams.runtime.offset_fetch import heed_the_groups_errors

AIOKAFKA = cast("Any", GroupCoordinator)
WHERE = TopicPartition("llm.dispatch.high", 0)
COMMITTED = OffsetFetchResponse_v3(0, [("llm.dispatch.high", [(0, 41, "", 0)])], 0)


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

    async def _send_req(self, _request: Any) -> Any:
        return self._answers.pop(0)

    fetch_committed_offsets = AIOKAFKA.fetch_committed_offsets
    _do_fetch_commit_offsets = AIOKAFKA._do_fetch_commit_offsets


class Consumer:
    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator


def committed(coordinator: Coordinator) -> int:
    heed_the_groups_errors(cast("AIOKafkaConsumer", Consumer(coordinator)))
    found = asyncio.run(coordinator.fetch_committed_offsets([WHERE]))
    return found[WHERE].offset


@pytest.mark.parametrize(("code", "moved"), [(14, 0), (15, 1), (16, 1)])
def test_a_coordinator_that_is_loading_or_has_moved_is_asked_until_it_knows(code: int, moved: int) -> None:
    coordinator = Coordinator(OffsetFetchResponse_v3(0, [], code), COMMITTED)
    assert committed(coordinator) == 41
    assert coordinator.looked_for == moved


def test_who_may_not_ask_is_told_so() -> None:
    with pytest.raises(GroupAuthorizationFailedError):
        committed(Coordinator(OffsetFetchResponse_v3(0, [], 30)))

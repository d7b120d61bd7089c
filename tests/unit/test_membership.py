"""A decision is dated only while the group is known to count on the worker, and never later than that allows."""

from typing import Literal, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from streams.runtime.kafka import GroupConsumer
from streams.runtime.membership import Membership
from streams.settings import CLOCK_SKEW_MS, KafkaSettings

HOLDS_MS = 1_000
POSITIONS = {("t", 0): 0, ("t", 1): 7}


class Coordinator:
    """Takes commits, or says that it knows no such member; each takes it a while."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.takes_ms = 0
        self.counts_on_us = True
        self.committed: list[tuple[int, int]] = []

    def clock(self) -> int:
        return self.now_ms

    def commit(self, *, offsets: list[TopicPartition], asynchronous: Literal[False]) -> list[TopicPartition]:
        assert asynchronous is False
        self.now_ms += self.takes_ms
        if not self.counts_on_us:
            raise KafkaException(KafkaError(KafkaError.UNKNOWN_MEMBER_ID))
        self.committed += [(each.partition, each.offset) for each in offsets]
        return offsets


@pytest.fixture
def coordinator() -> Coordinator:
    return Coordinator()


def member(coordinator: Coordinator) -> Membership:
    return Membership(cast("GroupConsumer", coordinator), HOLDS_MS, coordinator.clock)


def test_before_the_first_decision_a_position_is_committed_once_more_as_proof(coordinator: Coordinator) -> None:
    assert member(coordinator).decide_as_of(POSITIONS) == coordinator.now_ms
    assert coordinator.committed == [(1, 7)]


def test_a_worker_that_commits_anyway_proves_nothing_besides(coordinator: Coordinator) -> None:
    worker = member(coordinator)
    for _ in range(10):
        assert worker.commit({("t", 0): 1})
        coordinator.now_ms += HOLDS_MS // 2
        assert worker.decide_as_of(POSITIONS) == coordinator.now_ms
    assert set(coordinator.committed) == {(0, 1)}


def test_who_wakes_after_its_partitions_moved_decides_nothing(coordinator: Coordinator) -> None:
    worker = member(coordinator)
    assert worker.decide_as_of(POSITIONS)
    coordinator.now_ms += 60_000
    coordinator.counts_on_us = False
    assert worker.decide_as_of(POSITIONS) is None


def test_a_proof_counts_from_when_it_was_asked_for(coordinator: Coordinator) -> None:
    coordinator.takes_ms = HOLDS_MS + 1
    assert member(coordinator).decide_as_of(POSITIONS) is None


def test_without_a_partition_there_is_nothing_to_prove_and_nothing_to_decide(coordinator: Coordinator) -> None:
    assert member(coordinator).decide_as_of({}) is None
    assert coordinator.committed == []


@given(
    session_ms=st.integers(6_000, 3_600_000),
    delivery_ms=st.integers(1_000, 3_600_000),
    since_proof_ms=st.integers(0, 3_600_000),
    skew_ms=st.integers(-CLOCK_SKEW_MS, CLOCK_SKEW_MS),
    late_ms=st.integers(0, 7_200_000),
)
def test_whatever_brokers_still_take_was_decided_while_the_partitions_could_not_have_moved(
    session_ms: int, delivery_ms: int, since_proof_ms: int, skew_ms: int, late_ms: int
) -> None:
    try:
        kafka = KafkaSettings(session_timeout_ms=session_ms, delivery_timeout_ms=delivery_ms)
    except ValidationError:
        return
    coordinator = Coordinator()
    worker = Membership(cast("GroupConsumer", coordinator), kafka.membership_holds_ms, coordinator.clock)
    assert worker.commit({("t", 0): 1})
    proved_ms = coordinator.now_ms
    coordinator.counts_on_us = False
    coordinator.now_ms += since_proof_ms
    dated_ms = worker.decide_as_of(POSITIONS)

    broker_ms = coordinator.now_ms + late_ms + skew_ms
    if dated_ms is not None and broker_ms - dated_ms <= kafka.delivery_timeout_ms:
        assert coordinator.now_ms + late_ms < proved_ms + kafka.session_timeout_ms


def test_settings_under_which_a_ghosts_records_could_still_be_taken_are_refused() -> None:
    with pytest.raises(ValidationError, match="make it smaller than 38500"):
        KafkaSettings(session_timeout_ms=45_000, delivery_timeout_ms=38_500)
    assert KafkaSettings(session_timeout_ms=45_000, delivery_timeout_ms=38_499)

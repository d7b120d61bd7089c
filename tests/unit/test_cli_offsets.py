"""Asking brokers how far partitions reach, while they may not have heard of them yet."""

from collections.abc import Sequence

import pytest
from confluent_kafka import KafkaError, KafkaException

from scripts.cli.offsets import LOOKUP_TIMEOUT_S, persistently

Place = tuple[str, int]
PLACES: list[Place] = [("t", 0), ("t", 1)]


def refusal(code: int) -> KafkaException:
    return KafkaException(KafkaError(code))


class Brokers:
    """Refuses one of two partitions as often as it is told to. Time passes only while somebody waits."""

    def __init__(self, *, times: int = 0, code: int = KafkaError.UNKNOWN_LEADER_EPOCH) -> None:
        self.left = {("t", 1): times}
        self.code = code
        self.asked: list[list[Place]] = []
        self.now_s = 0.0

    def ask(self, places: Sequence[Place]) -> dict[Place, int | KafkaException]:
        self.asked.append(list(places))
        return {place: self._answer(place) for place in places}

    def _answer(self, place: Place) -> int | KafkaException:
        left = self.left.get(place, 0)
        self.left[place] = left - 1
        return refusal(self.code) if left > 0 else place[1] + 100

    def read_clock(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    def look(self) -> dict[Place, int]:
        return persistently(self.ask, PLACES, now_s=self.read_clock, wait_s=self.wait)


def test_what_is_known_is_asked_for_once() -> None:
    brokers = Brokers()
    assert brokers.look() == {("t", 0): 100, ("t", 1): 101}
    assert brokers.asked == [PLACES]
    assert brokers.now_s == 0


def test_a_partition_that_is_only_just_being_made_is_asked_for_again_alone() -> None:
    brokers = Brokers(times=2)
    assert brokers.look() == {("t", 0): 100, ("t", 1): 101}
    assert brokers.asked == [PLACES, [("t", 1)], [("t", 1)]]
    assert brokers.now_s > 0


def test_any_other_refusal_is_final() -> None:
    brokers = Brokers(times=1, code=KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaException):
        brokers.look()
    assert len(brokers.asked) == 1


def test_it_is_not_asked_for_ever() -> None:
    brokers = Brokers(times=1_000_000)
    with pytest.raises(KafkaException):
        brokers.look()
    assert brokers.now_s == pytest.approx(LOOKUP_TIMEOUT_S, abs=0.2)


def test_nothing_is_asked_where_there_is_nothing_to_ask() -> None:
    brokers = Brokers()
    assert persistently(brokers.ask, []) == {}
    assert brokers.asked == []

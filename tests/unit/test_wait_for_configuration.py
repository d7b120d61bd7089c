"""A stage that has no configuration yet says what it waits for."""

import threading

import pytest
from structlog.testing import capture_logs

from schemas.topics import TOPICS
from streams.runtime import follower as module
from streams.runtime.cluster import wanted
from streams.runtime.follower import SLOW_ROUNDS, ControlFollower, wait_for_configuration
from streams.settings import KafkaSettings
from tests.fakes.kafka.clients import FakeClients
from tests.fakes.kafka.cluster import Cluster
from tests.fakes.kafka.conditions import Steady
from tests.fakes.kafka.host import Host
from tests.fakes.kafka.timeline import Timeline
from tests.unit.examples import NOW_MS

KAFKA = KafkaSettings(partitions=2)


class Follower(ControlFollower):
    """Told to stop after so many rounds."""

    def __init__(self, *, is_reachable: bool, rounds: int) -> None:
        timeline = Timeline(NOW_MS)
        cluster = Cluster(timeline, session_ms=KAFKA.session_timeout_ms)
        cluster.create([wanted(topic, KAFKA) for topic in TOPICS])
        super().__init__(FakeClients(Host("host", cluster, Steady(timeline)), KAFKA), KAFKA)
        cluster.is_reachable = is_reachable
        self._left = rounds
        self.stop = threading.Event()

    def follow(self, timeout_s: float = 0) -> bool:
        self._left -= 1
        if not self._left:
            self.stop.set()
        return super().follow(timeout_s)


def said(follower: Follower, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    with capture_logs() as lines:
        monkeypatch.setattr(module, "log", module.logger(__name__))
        wait_for_configuration(follower, follower.stop)
    return [line["event"] for line in lines]


def test_who_cannot_read_it_to_its_end_says_so_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    follower = Follower(is_reachable=False, rounds=2 * SLOW_ROUNDS)
    assert said(follower, monkeypatch) == ["configuration_unread"] * 2
    assert not follower.is_current


def test_who_has_read_that_there_is_none_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    follower = Follower(is_reachable=True, rounds=2 * SLOW_ROUNDS)
    assert said(follower, monkeypatch) == ["waiting_for_configuration"]
    assert follower.is_current

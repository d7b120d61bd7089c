"""One process and its connection to the cluster; its clients act only as far as it lets them."""

from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException

from tests.fakes.kafka.cluster import Cluster
from tests.fakes.kafka.conditions import Conditions

ENDLESS_MS = 10**9


class Gone(BaseException):
    """The process was killed. Not an Exception: nothing in it may catch this and go on."""


class Host:
    def __init__(self, name: str, cluster: Cluster, conditions: Conditions) -> None:
        self.name = name
        self.cluster = cluster
        self.conditions = conditions
        self.timeline = cluster.timeline
        self.is_up = True
        self.is_frozen = False
        self.is_connected = True
        self.is_heard_by_coordinator = True
        self.is_stirred = False
        self._at_the_end: list[Callable[[], None]] = []

    @property
    def reaches_cluster(self) -> bool:
        return self.is_up and not self.is_frozen and self.is_connected and self.cluster.is_reachable

    @property
    def reaches_coordinator(self) -> bool:
        """Of its group, whose broker may be cut off from it alone."""
        return self.reaches_cluster and self.is_heard_by_coordinator

    def stir(self) -> None:
        """Something happened that a waiting call may be waiting for."""
        self.is_stirred = True

    def call(self, name: str) -> None:
        """Before everything a client is asked to do."""
        self.must_be_up()
        self.conditions.step(name)
        self.must_be_up()

    def idle(self, for_ms: int) -> None:
        """At most; less when something happens."""
        self.conditions.wait(self.timeline.now_ms + for_ms)
        self.must_be_up()

    def wait(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        """Whether it held before the timeout; a negative timeout is none."""
        deadline_ms = self.timeline.now_ms + (ENDLESS_MS if timeout_s < 0 else int(timeout_s * 1000))
        while not holds():
            if self.timeline.now_ms >= deadline_ms:
                return False
            self.conditions.wait(deadline_ms)
            self.must_be_up()
        return True

    def ask_coordinator(self, name: str, timeout_s: float) -> None:
        """There and back again. Raises KafkaException when it cannot be reached for so long."""
        self._ask(name, lambda: self.reaches_coordinator, timeout_s)

    def ask(self, name: str, timeout_s: float) -> None:
        """There and back again. Raises KafkaException when the cluster cannot be reached for so long."""
        self._ask(name, lambda: self.reaches_cluster, timeout_s)

    def _ask(self, name: str, reaches: Callable[[], bool], timeout_s: float) -> None:
        self.call(name)
        if not self.wait(reaches, timeout_s):
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # a public code whose name has an underscore

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        """If the process is still there then."""
        self.timeline.after(delay_ms, lambda: action() if self.is_up else None)

    def soon(self, action: Callable[[], None]) -> None:
        """After a journey over the network."""
        self.after(self.conditions.latency_ms(), action)

    def at_the_end(self, action: Callable[[], None]) -> None:
        """What becomes of a client when the process ends without closing it."""
        self._at_the_end.append(action)

    def end(self) -> None:
        if self.is_up:
            for action in self._at_the_end:
                action()
            self.is_up = False
            self.stir()

    def must_be_up(self) -> None:
        if not self.is_up:
            raise Gone

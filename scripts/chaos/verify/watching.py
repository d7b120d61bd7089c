"""The shell around the verifier: reads, asks the observer for snapshots, hands both over in an order that makes sense,
and writes the verdict.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from confluent_kafka import KafkaException

from scripts.chaos.verify.cluster import Cluster
from scripts.chaos.verify.follower import Follower, partitions, topic_names
from scripts.chaos.verify.observer import Observer
from scripts.chaos.verify.reading import Reading
from scripts.chaos.verify.snapshot import Snapshot
from scripts.chaos.verify.table import Table
from scripts.chaos.verify.tally import Tally
from scripts.chaos.verify.verdict import Verdict, write
from scripts.chaos.verify.verifier import Verifier
from sinks.settings import ClickHouseSettings
from streams.settings import KafkaSettings

log = logging.getLogger(__name__)
POLL_S = 0.25
SNAPSHOT_EVERY_S = 1.0
VERDICT_EVERY_S = 2.0
SILENT_S = 30.0
"""A reader that is behind and hears nothing for so long is begun again: brokers are away for less, or all are."""
PATIENCE_S = 180.0
"""For everything to be read to its end, brokers and ClickHouse included, once there is nothing more to watch."""


class Watching:
    """A snapshot is asked for only when the one before has been handed over, so that whatever was read before it was
    asked for lies below its ends.
    """

    def __init__(self, folder: Path, kafka: KafkaSettings, clickhouse: ClickHouseSettings) -> None:
        self._file = folder / "verdict.json"
        counts = partitions(kafka, time.sleep)
        self._reading = Reading(topic_names(kafka))
        self._verifier = Verifier(topic_names(kafka))
        self._follower = Follower(kafka, counts)
        self._observer = Observer(folder, kafka, Cluster(kafka, counts), Table(clickhouse), _now_ms)
        self._pending: Snapshot | None = None
        self._written_s = 0.0

    def until(self, stop: threading.Event) -> Verdict:
        """Watches until `stop` is set, and returns the last word."""
        with ThreadPoolExecutor(1) as aside:
            try:
                return self._watch(aside, stop)
            finally:
                self._observer.close()
                self._follower.close()

    def _watch(self, aside: ThreadPoolExecutor, stop: threading.Event) -> Verdict:
        while not stop.is_set():
            began_s = time.monotonic()
            self._snapshot(aside, whole=False)
            self._hand_over(stop.is_set)
            while not stop.is_set() and time.monotonic() - began_s < SNAPSHOT_EVERY_S:
                self._read()
        return self._conclude(aside)

    def _conclude(self, aside: ThreadPoolExecutor) -> Verdict:
        give_up_s = time.monotonic() + PATIENCE_S

        def is_over() -> bool:
            return time.monotonic() > give_up_s

        self._hand_over(is_over)
        while not is_over():
            began_s = time.monotonic()
            self._snapshot(aside, whole=True)
            last = self._pending
            if self._hand_over(is_over) and last is not None and last.is_whole:
                self._verifier.end(last)
                return self._last_word(None)
            while time.monotonic() - began_s < SNAPSHOT_EVERY_S:
                self._read()
        return self._last_word("the brokers and ClickHouse could not be read to the end")

    def _snapshot(self, aside: ThreadPoolExecutor, *, whole: bool) -> None:
        """Reads on while it is being taken. One that waits to be handed over stays: it cannot be had again."""
        if self._pending is not None:
            return
        since_ms = self._verifier.attempts.oldest_unstored_ms
        observer = self._observer
        asked = aside.submit(observer.take_whole) if whole else aside.submit(observer.take, since_ms)
        while not asked.done():
            self._read()
        self._pending = _taken(asked)

    def _hand_over(self, is_over: Callable[[], bool]) -> bool:
        """Once the topics are read as far as it says. False when it is over before that."""
        if self._pending is None:
            return not is_over()
        while not self._follower.has_passed(self._pending.ends.items()):
            if is_over():
                return False
            if time.monotonic() - self._follower.heard_s > SILENT_S:
                self._follower.begin_again()
            self._read()
        snapshot, self._pending = self._pending, None
        self._verifier.look(snapshot)
        return True

    def _read(self) -> None:
        for delivery in self._follower.poll(POLL_S):
            self._verifier.take(self._reading.seen(delivery))
        if time.monotonic() - self._written_s >= VERDICT_EVERY_S:
            self._written_s = time.monotonic()
            write(self._verifier.verdict(_now_ms()), self._file)

    def _last_word(self, failure: str | None) -> Verdict:
        complete = Tally("read to the end", "topics, tables, bill and offsets were read to their end")
        complete.hold(failure)
        verdict = self._verifier.verdict(_now_ms(), "final")
        verdict = replace(verdict, invariants=(*verdict.invariants, complete))
        write(verdict, self._file)
        return verdict


def _taken(asked: Future[Snapshot]) -> Snapshot | None:
    try:
        return asked.result()
    except (KafkaException, TimeoutError) as error:
        log.warning("no snapshot: %s", error)
        return None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

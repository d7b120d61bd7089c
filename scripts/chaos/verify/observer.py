"""Takes snapshots of what lies outside the topics. The order is what makes them mean something: offsets first, then
what they promise to be there, and how far the topics reach last.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.request import urlopen

from schemas.topics import REQUESTS
from scripts.chaos.verify.cluster import Cluster
from scripts.chaos.verify.files import Journal, Lines, Logs, acknowledged, bill
from scripts.chaos.verify.forbidden import CRASHES, MARKS, found_in, provider_keys
from scripts.chaos.verify.snapshot import GroupPartition, Leak, Snapshot, TableRow
from scripts.chaos.verify.table import Table
from scripts.local.layout import read_port
from streams.settings import KafkaSettings

ROWS_EVERY_MS = 5_000
METRICS_EVERY_MS = 20_000
_METRICS_S = 2.0


@dataclass(frozen=True, slots=True)
class _Asked:
    """Rows on their way, and what the sink had committed before they were asked for."""

    rows: Future[tuple[TableRow, ...] | None]
    since_ms: int
    sink_had: Mapping[GroupPartition, int]


class Observer:
    """Belongs to one thread at a time; asks ClickHouse on another, which may take as long as it likes."""

    def __init__(
        self, folder: Path, kafka: KafkaSettings, cluster: Cluster, table: Table, now_ms: Callable[[], int]
    ) -> None:
        self._cluster = cluster
        self._table = table
        self._now_ms = now_ms
        self._requests = kafka.topic(REQUESTS)
        self._ports = folder / "ports"
        self._bill = Lines(folder / "bill.jsonl")
        self._load = Lines(folder / "load.jsonl")
        self._journal_lines = Lines(folder / "journal.jsonl")
        self._journal = Journal()
        self._forbidden = {**MARKS, **provider_keys(folder / "secrets")}
        self._logs = Logs(folder / "logs", {**self._forbidden, **CRASHES})
        self._asking = ThreadPoolExecutor(1)
        self._asked: _Asked | None = None
        self._asked_ms = 0
        self._metrics_ms = 0

    def take(self, rows_since_ms: int | None) -> Snapshot:
        """`rows_since_ms`: of requests produced since then ClickHouse is asked, at most every five seconds; None: it is
        not. Raises KafkaException when the brokers cannot tell how far the topics reach: then nothing was taken, and
        the next snapshot has it all.
        """
        committed = self._cluster.committed()
        answered = self._asked if self._asked is not None and self._asked.rows.done() else None
        self._fetch()
        ends = self._cluster.ends()
        if answered is not None:
            self._asked = None
        if self._asked is None and rows_since_ms is not None and self._now_ms() - self._asked_ms >= ROWS_EVERY_MS:
            self._asked_ms = self._now_ms()
            self._asked = _Asked(
                self._asking.submit(self._table.since, rows_since_ms), rows_since_ms, committed.offsets
            )
        snapshot = self._snapshot(committed.offsets, ends, whole=False)
        rows = None if answered is None else answered.rows.result()
        if answered is None or rows is None:
            return snapshot
        return replace(snapshot, rows=rows, rows_since_ms=answered.since_ms, sink_had=answered.sink_had)

    def take_whole(self) -> Snapshot:
        """With every row there is. Raises as `take` does; `rows` is None when ClickHouse does not answer. Whole only
        when it does, and every group's coordinator too.
        """
        committed = self._cluster.committed()
        rows = self._asking.submit(self._table.whole).result()
        self._fetch()
        ends = self._cluster.ends()
        snapshot = self._snapshot(committed.offsets, ends, whole=True)
        if rows is None:
            return snapshot
        return replace(snapshot, rows=rows, sink_had=committed.offsets, is_whole=committed.is_complete)

    def close(self) -> None:
        self._asking.shutdown()
        self._cluster.close()

    def _fetch(self) -> None:
        """What is promised to be on the topics is read before their ends, and kept until those are known."""
        self._bill.fetch()
        self._load.fetch()

    def _snapshot(
        self,
        committed: Mapping[GroupPartition, int],
        ends: Mapping[tuple[str, int], int],
        *,
        whole: bool,
    ) -> Snapshot:
        found = (*self._logs.found(), *self._shown(whole=whole))
        return Snapshot(
            at_ms=self._now_ms(),
            committed=committed,
            ends=ends,
            bill=tuple(bill(self._bill.taken())),
            acknowledged=tuple(acknowledged(self._load.taken(), self._requests)),
            disruptions=self._journal.take(self._journal_lines.fetch().taken()),
            leaks=tuple(each for each in found if each.mark not in CRASHES),
            crashes=tuple(each for each in found if each.mark in CRASHES),
        )

    def _shown(self, *, whole: bool) -> Iterator[Leak]:
        """On the metrics pages of all processes that answer."""
        if not whole and self._now_ms() - self._metrics_ms < METRICS_EVERY_MS:
            return
        self._metrics_ms = self._now_ms()
        for name, port in pages(self._ports):
            try:
                with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=_METRICS_S) as answer:
                    found = found_in(answer.read(), self._forbidden)
                    yield from (Leak(f"the metrics of {name}", mark) for mark in found)
            except OSError:  # not now, or no such page
                continue


def pages(ports: Path) -> Iterator[tuple[str, int]]:
    """Of all processes that have said where they listen; one that has just been started again has not."""
    for file in sorted(ports.glob("*")):
        port = read_port(file)
        if port is not None:
            yield file.name, port

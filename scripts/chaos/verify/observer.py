"""Takes snapshots of what lies outside the topics. The order is what makes them mean something: offsets first, then
what they promise to be there, and how far the topics reach last.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

from schemas.topics import REQUESTS
from scripts.chaos.verify.cluster import Cluster
from scripts.chaos.verify.files import Journal, Lines, Logs, acknowledged, bill, found_in
from scripts.chaos.verify.snapshot import Leak, Snapshot
from scripts.chaos.verify.table import Table
from scripts.local.layout import read_port
from streams.settings import KafkaSettings

ROWS_EVERY_MS = 5_000
METRICS_EVERY_MS = 20_000
_METRICS_S = 2.0


class Observer:
    """Belongs to one thread at a time."""

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
        self._logs = Logs(folder / "logs")
        self._rows_ms = 0
        self._metrics_ms = 0

    def take(self, rows_since_ms: int | None, *, whole: bool = False) -> Snapshot:
        """`rows_since_ms`: of requests produced since then ClickHouse is asked; None: it is not. Raises KafkaException
        when the brokers cannot tell how far the topics reach: then nothing was taken, and the next one has it all.
        """
        committed = self._cluster.committed()
        rows = None
        now_ms = self._now_ms()
        if whole:
            rows = self._table.whole()
        elif rows_since_ms is not None and now_ms - self._rows_ms >= ROWS_EVERY_MS:
            self._rows_ms = now_ms
            rows = self._table.since(rows_since_ms)
        # lines are read before the ends and kept until the ends are known
        self._bill.fetch()
        self._load.fetch()
        ends = self._cluster.ends()
        return Snapshot(
            at_ms=now_ms,
            committed=committed,
            ends=ends,
            bill=tuple(bill(self._bill.taken())),
            rows=rows,
            is_whole=whole and rows is not None,
            acknowledged=tuple(acknowledged(self._load.taken(), self._requests)),
            disruptions=self._journal.take(self._journal_lines.fetch().taken()),
            leaks=(*self._logs.leaks(), *self._shown(whole=whole)),
        )

    def _shown(self, *, whole: bool) -> Iterator[Leak]:
        """On the metrics pages of all processes that answer."""
        if not whole and self._now_ms() - self._metrics_ms < METRICS_EVERY_MS:
            return
        self._metrics_ms = self._now_ms()
        for file in sorted(self._ports.glob("*")):
            port = read_port(file)
            try:
                with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=_METRICS_S) as answer:
                    yield from found_in(answer.read(), f"the metrics of {file.name}")
            except OSError:  # not now, or no such page
                continue

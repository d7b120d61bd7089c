"""The tables of `watch`: windows of record time in RocksDB, each change also on a changelog topic of Faust's.

Windows expire by RocksDB's time to live and the changelog's retention, not by Faust: its own expiry keeps one heap
entry in memory for every write until the window closes, which is a day for `spend-day`.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar, cast

import faust
from faust.exceptions import FaustError

from schemas.base import Model
from streams.watch.answers import SPAN_S as ANSWERS_SPAN_S
from streams.watch.answers import Answers
from streams.watch.health import Bucket
from streams.watch.settings import BUCKETS, WatchSettings
from streams.watch.spend import Spend
from streams.watch.unpriced import SPAN_S as UNPRICED_SPAN_S
from streams.watch.unpriced import Told

E = TypeVar("E", bound=Model)

_MINUTE_S = 60
_DAY_S = 86_400
_MIB = 1024 * 1024
_SMALL_ROCKSDB = {"write_buffer_size": 4 * _MIB, "max_write_buffer_number": 2, "block_cache_size": 8 * _MIB}
"""There is a database for each table and partition; Faust's sizes are for one large table."""


class TableError(Exception):
    """A table cannot be read or written: the disk is full or the database broken."""


@contextmanager
def _storage() -> Generator[None]:
    try:
        yield
    except FaustError:
        raise
    except Exception as error:  # RocksDB's binding raises nothing more specific
        raise TableError(str(error)) from error


class _Cell(Protocol):
    def current(self) -> bytes: ...
    def delta(self, d: float) -> bytes: ...


class _Windowed(Protocol):
    def __getitem__(self, key: str) -> _Cell: ...
    def __setitem__(self, key: str, value: bytes) -> None: ...


def _table(app: faust.App, name: str, keep_s: int, min_insync: int) -> Any:
    changelog = {
        "cleanup.policy": "compact,delete",
        "retention.ms": str(keep_s * 1_000),
        "segment.ms": str(keep_s * 1_000),
        "min.insync.replicas": str(min_insync),
    }
    declare = cast("Any", app).Table  # Faust leaves its key and value types open; ours are str and bytes
    return declare(
        name,
        value_type=bytes,
        default=bytes,
        options={**_SMALL_ROCKSDB, "ttl": keep_s},
        extra_topic_configs=changelog,
    )


class Windows(Generic[E]):
    """An event per key and window. Read and written only while a record is handled: its time selects the window."""

    def __init__(self, app: faust.App, name: str, empty: E, *, span_s: int, keep: int, min_insync: int) -> None:
        self._empty = empty
        self._span_s = span_s
        table = _table(app, name, span_s * keep, min_insync)
        self._windows = cast("_Windowed", table.tumbling(span_s))

    def current(self, key: str) -> E:
        with _storage():
            value = self._windows[key].current()
        return self._decoded(value)

    def last(self, key: str, count: int) -> list[E]:
        """The newest `count` windows, newest first; those without an event are empty, not missing."""
        with _storage():
            cell = self._windows[key]
            values = [cell.delta(self._span_s * back) for back in range(count)]
        return [self._decoded(value) for value in values]

    def put(self, key: str, event: E) -> None:
        value = event.encode()
        with _storage():
            self._windows[key] = value

    def _decoded(self, value: bytes) -> E:
        return type(self._empty).decode(value) if value else self._empty


class Attempts:
    """How far the rows of an attempt have been taken in, for as long as rows are expected to come twice."""

    def __init__(self, app: faust.App, *, keep_s: int, min_insync: int) -> None:
        self._table = _table(app, "attempts", keep_s, min_insync)

    def phase(self, attempt_id: str) -> int:
        """The highest PHASE_VERSION taken in; 0 for none."""
        with _storage():
            value: bytes = self._table[attempt_id]
        return int(value or b"0")

    def reached(self, attempt_id: str, phase: int) -> None:
        with _storage():
            self._table[attempt_id] = str(phase).encode()


class Tables:
    def __init__(self, app: faust.App, watch: WatchSettings, min_insync: int) -> None:
        def windows(name: str, empty: E, span_s: int, keep: int) -> Windows[E]:
            return Windows(app, name, empty, span_s=span_s, keep=keep, min_insync=min_insync)

        self.health = windows("health", Bucket(), watch.bucket_s, 4 * BUCKETS)
        self.unpriced = windows("unpriced", Told(), UNPRICED_SPAN_S, 2)
        self.spend_minute = windows("spend-minute", Spend(), _MINUTE_S, 15)
        self.spend_day = windows("spend-day", Spend(), _DAY_S, 2)
        self.answers = windows("answers", Answers(), ANSWERS_SPAN_S, 4)
        self.attempts = Attempts(app, keep_s=watch.remember_s, min_insync=min_insync)

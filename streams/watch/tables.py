"""The tables of `watch`: windows of record time in RocksDB, each change also on a changelog topic of Faust's.

Windows expire by RocksDB's time to live and the changelog's retention, not by Faust: its own expiry keeps one heap
entry in memory for every write until the window closes, which is a day for `spend-day`.
"""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar, cast

import faust
from faust.exceptions import FaustError

from schemas.base import Model
from streams.observe.logs import logger
from streams.watch.answers import SPAN_S as ANSWERS_SPAN_S
from streams.watch.answers import Answers
from streams.watch.attempts import AttemptMemory, Reached, batch_record, read_record
from streams.watch.health import Bucket
from streams.watch.rate import NORM_MINUTES, WINDOW_S, WINDOWS
from streams.watch.settings import BUCKETS, WatchSettings
from streams.watch.spend import Spend
from streams.watch.unpriced import SPAN_S as UNPRICED_SPAN_S
from streams.watch.unpriced import Told

log = logger(__name__)

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


class _Windowed(Protocol):
    """Of Faust's; a window is named by its bounds."""

    def __getitem__(self, key: str) -> dict[object, bytes]: ...


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
    """An event per key and window of record time. Used only while records are handled: theirs is the partition."""

    def __init__(self, app: faust.App, name: str, empty: E, *, span_s: int, keep: int, min_insync: int) -> None:
        self._empty = empty
        self.span_ms = span_s * 1_000
        self._windows: Any = _table(app, name, span_s * keep, min_insync).tumbling(span_s)
        self._bounds: Callable[[float], object] = self._windows.table.window.current

    def at(self, key: str, time_ms: int) -> E:
        """Of the window that holds the time; empty when there is none."""
        with _storage():
            value = cast("_Windowed", self._windows)[key][self._bounds(time_ms / 1_000)]
        return type(self._empty).decode(value) if value else self._empty

    def put(self, key: str, time_ms: int, event: E) -> None:
        value = event.encode()
        with _storage():
            cast("_Windowed", self._windows)[key][self._bounds(time_ms / 1_000)] = value


class Attempts:
    """How far the rows of an attempt have been taken in, for as long as rows are expected to come twice."""

    def __init__(self, app: faust.App, *, keep_s: int, min_insync: int, now_ms: Callable[[], int]) -> None:
        self._table = _table(app, "attempts", keep_s, min_insync)
        self._keep_ms = keep_s * 1_000
        self._now_ms = now_ms
        self._memory = AttemptMemory(self._keep_ms)

    async def restore(self) -> None:
        """Once Faust has read the table back, and before the first row. Raises TableError."""
        self._memory = await asyncio.to_thread(self._read_back)

    def phase(self, digest: bytes) -> int:
        """The highest PHASE_VERSION taken in; 0 for none."""
        return self._memory.phase(digest)

    def reached(self, key: str, attempts: Reached) -> None:
        """Written, and remembered, as one."""
        now_ms = self._now_ms()
        with _storage():
            self._table[key] = batch_record(attempts, now_ms)
        for digest, phase in attempts.items():
            self._memory.reach(digest, phase, now_ms)
        self._memory.expire(now_ms)

    def _read_back(self) -> AttemptMemory:
        memory, now_ms = AttemptMemory(self._keep_ms), self._now_ms()
        with _storage():
            for key, value in self._table.items():
                try:
                    attempts, at_ms = read_record(key, value, now_ms)
                except ValueError:  # a later version's: its rows are booked again, which is better than no start
                    log.warning("attempts_unreadable", key=str(key), size=len(value))
                    continue
                for digest, phase in attempts:
                    memory.reach(digest, phase, at_ms)
        memory.expire(now_ms)
        return memory


class Tables:
    def __init__(self, app: faust.App, watch: WatchSettings, min_insync: int, now_ms: Callable[[], int]) -> None:
        def windows(name: str, empty: E, span_s: int, keep: int) -> Windows[E]:
            return Windows(app, name, empty, span_s=span_s, keep=keep, min_insync=min_insync)

        self.health = windows("health", Bucket(), watch.bucket_s, 4 * BUCKETS)
        self.unpriced = windows("unpriced", Told(), UNPRICED_SPAN_S, 2)
        self.spend_rate = windows("spend-rate", Spend(), WINDOW_S, 4 * WINDOWS)
        self.spend_minute = windows("spend-minute", Spend(), _MINUTE_S, NORM_MINUTES + 15)
        self.spend_day = windows("spend-day", Spend(), _DAY_S, 2)
        self.answers = windows("answers", Answers(), ANSWERS_SPAN_S, 4)
        self.attempts = Attempts(app, keep_s=watch.remember_s, min_insync=min_insync, now_ms=now_ms)

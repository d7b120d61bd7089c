"""Call rows into ClickHouse. A write that returned is stored; written again it changes no query result."""

from collections.abc import Sequence
from functools import partial

from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas.call import CallRow
from sinks.bisection import refused
from sinks.connection import Connection, connect
from sinks.faults import PASSING_S, Outage, fault_of
from sinks.native import NAMES, Unwritable, native_block
from sinks.protocol import Refusal, Unavailable
from sinks.settings import ClickHouseSettings

_INSERT_SETTINGS = {
    # Newer servers buffer inserts by default, and acknowledge what is not stored yet.
    "async_insert": 0,
    # ClickHouse notes an insert's token before its part is in place. Killed in between, it would take the same rows,
    # sent again, for stored: see docs/decisions/0010.
    "insert_deduplicate": 0,
    # The answer follows the last part: without it a failure could come after "200 OK".
    "wait_end_of_query": 1,
    # A batch replayed from far back, or a producer with a broken clock, may touch any number of months.
    "max_partitions_per_insert_block": 0,
}


class ClickHouseSink:
    """Keeps the Sink promises. Connects at the first write, so that a server that is down is merely unavailable."""

    def __init__(self, settings: ClickHouseSettings) -> None:
        self._settings = settings
        self._connection: Connection | None = None

    def write(self, rows: Sequence[CallRow]) -> Sequence[Refusal]:
        size = self._settings.rows_per_insert
        return [
            refusal
            for start in range(0, len(rows), size)
            for refusal in refused(start, min(start + size, len(rows)), partial(self._store, rows))
        ]

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _store(self, rows: Sequence[CallRow], start: int, stop: int) -> str | None:
        """The rows from start to stop in one insert; or why ClickHouse will never take them. Raises Unavailable."""
        try:
            block = native_block(rows[start:stop])
        except Unwritable as error:
            return str(error)
        try:
            # The driver sends a body of bytes once more, on its own, when the connection is reset.
            answer = self._connected().raw_insert(
                f"{self._settings.database}.call_rows",
                column_names=NAMES,
                insert_block=block,
                fmt="Native",
                settings=_INSERT_SETTINGS,
            )
        except ClickHouseError as error:
            fault = fault_of(error)
            if isinstance(fault, Outage):
                raise self._unavailable(fault) from error
            return fault.reason
        if not answer.query_id():
            # A proxy, or whoever else has come to this address, says 200 too.
            raise self._unavailable(Outage("the answer to an insert is not ClickHouse's", PASSING_S))
        return None

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = connect(self._settings)
        return self._connection

    def _unavailable(self, outage: Outage) -> Unavailable:
        address = f"{self._settings.host}:{self._settings.port}"
        return Unavailable(f"ClickHouse at {address}: {outage.reason}", retry_after_s=outage.retry_after_s)

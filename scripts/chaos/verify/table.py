"""The rows of ClickHouse's `calls` view, read as an analyst would read them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from scripts.chaos.verify.forbidden import found_in
from scripts.chaos.verify.snapshot import TableRow
from sinks.connection import Connection, connect
from sinks.settings import ClickHouseSettings

_ROWS = """
SELECT attempt_id, tenant_id, request_id, phase, cost_status, cost_usd, is_final,
    concat(toString(labels), ifNull(usage_raw, ''), ifNull(user_id, ''), ifNull(model, ''), ifNull(error_class, ''))
FROM {database:Identifier}.calls
WHERE produced_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
    AND produced_at < fromUnixTimestamp64Milli({until_ms:Int64}, 'UTC')
"""
_RANGE = """
SELECT min(produced_at), max(produced_at), count() FROM {database:Identifier}.calls
"""
_STEP = timedelta(minutes=10)
_LAST_MS = 4_102_444_800_000

Reader = Callable[[Connection], tuple[TableRow, ...]]


class Table:
    """Connects anew after every failure."""

    def __init__(self, settings: ClickHouseSettings) -> None:
        self._settings = settings
        self._connection: Connection | None = None

    def since(self, since_ms: int) -> tuple[TableRow, ...] | None:
        """Of requests produced from then on (UTC, milliseconds since 1970); None when ClickHouse does not answer."""
        return self._guarded(lambda connection: self._between(connection, since_ms, _LAST_MS))

    def whole(self) -> tuple[TableRow, ...] | None:
        """All of them, ten minutes of requests at a time; None when ClickHouse does not answer."""
        return self._guarded(self._all)

    def _all(self, connection: Connection) -> tuple[TableRow, ...]:
        ((first, last, count),) = connection.query(_RANGE, {"database": self._settings.database}).result_rows
        if not count:
            return ()
        rows: list[TableRow] = []
        at: datetime = first.replace(tzinfo=UTC)
        until: datetime = last.replace(tzinfo=UTC)
        while at <= until:
            rows += self._between(connection, _ms(at), _ms(at + _STEP))
            at += _STEP
        return tuple(rows)

    def _between(self, connection: Connection, since_ms: int, until_ms: int) -> tuple[TableRow, ...]:
        parameters = {"database": self._settings.database, "since_ms": since_ms, "until_ms": until_ms}
        return tuple(_row(*values) for values in connection.query(_ROWS, parameters).result_rows)

    def _guarded(self, read: Reader) -> tuple[TableRow, ...] | None:
        try:
            self._connection = self._connection or connect(self._settings)
            return read(self._connection)
        except (ClickHouseError, HTTPError, OSError):
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            return None


def _row(attempt_id: str, tenant_id: str, request_id: str, phase: Any, status: Any, *rest: Any) -> TableRow:
    cost_usd, is_final, texts = rest
    leaks = found_in(f"{request_id}{texts}".encode())
    return TableRow(attempt_id, tenant_id, request_id, phase, status, cost_usd, bool(is_final), leaks)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)

"""One connection to one ClickHouse, over HTTP, owned by whoever asked for it."""

from collections.abc import Sequence
from typing import Any, Protocol

from clickhouse_connect.driver.httpclient import HttpClient

from sinks.settings import ClickHouseSettings


class Result(Protocol):
    @property
    def column_names(self) -> Sequence[str]: ...
    @property
    def result_rows(self) -> Sequence[Sequence[Any]]: ...


class Inserted(Protocol):
    def query_id(self) -> str:
        """As the server gives it with every answer; empty when it gave none."""
        ...


class Connection(Protocol):
    """The part of the driver's client that is used here. All of it raises the driver's ClickHouseError."""

    def command(self, cmd: str, parameters: dict[str, Any] | None = None) -> object: ...
    def query(self, query: str, parameters: dict[str, Any] | None = None) -> Result: ...
    def raw_insert(
        self,
        table: str,
        column_names: Sequence[str],
        insert_block: bytes,
        settings: dict[str, Any],
        fmt: str,
    ) -> Inserted: ...
    def close(self) -> None: ...


def connect(settings: ClickHouseSettings) -> Connection:
    """Reaches the server at once.

    No database is chosen, so that it works before there is one: statements name it. No session is opened either: the
    server runs one statement of a session at a time and keeps it in memory long after a client has gone.
    """
    return HttpClient(
        interface="https" if settings.secure else "http",
        host=settings.host,
        port=settings.port,
        username=settings.user,
        password=settings.password.get_secret_value(),
        database=None,
        ca_cert=None if settings.ca_file is None else str(settings.ca_file),
        connect_timeout=settings.connect_timeout_s,
        send_receive_timeout=settings.send_timeout_s,
        compress=False,
        autogenerate_session_id=False,
        dedicated_pool=True,
        # Said in full: any other value makes the driver log a traceback whenever the server is away.
        show_clickhouse_errors=True,
        client_name="millrace",
    )

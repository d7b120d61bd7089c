"""A ClickHouse that answers, for as long as a command needs it."""

import logging
from collections.abc import Generator
from contextlib import contextmanager

from clickhouse_connect.driver.exceptions import ClickHouseError

from scripts.cli.environment import load, variable
from scripts.cli.fault import Fault
from sinks.connection import Connection, connect
from sinks.faults import fault_of
from sinks.settings import ClickHouseSettings

# What goes wrong is said by the command itself; the driver's own line on standard error would stand beside it.
logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())


@contextmanager
def clickhouse() -> Generator[tuple[Connection, ClickHouseSettings]]:
    """What the server complains about within the block is raised as a Fault of one sentence."""
    settings = load(ClickHouseSettings)
    try:
        connection = connect(settings)
        try:
            yield connection, settings
        finally:
            connection.close()
    except ClickHouseError as error:
        raise Fault(
            f"ClickHouse at {settings.host}:{settings.port}: {fault_of(error).reason}; where it is, is said by "
            f"{variable(ClickHouseSettings, 'host')} and {variable(ClickHouseSettings, 'port')}"
        ) from error

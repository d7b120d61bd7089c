"""A real ClickHouse engine for tests, in a process of its own, on loopback."""

from collections.abc import Generator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

from sinks.connection import connect
from sinks.embedded.process import start_embedded_clickhouse
from sinks.migrate import migrate
from sinks.settings import ClickHouseSettings

_numbers = count(1)


@contextmanager
def running_engine(path: Path) -> Generator[ClickHouseSettings]:
    with start_embedded_clickhouse(path) as engine:
        yield ClickHouseSettings(host=engine.host, port=engine.port)


def new_database(engine: ClickHouseSettings) -> ClickHouseSettings:
    """The settings of a database of its own, with every migration applied."""
    settings = engine.model_copy(update={"database": f"test_{next(_numbers)}"})
    with closing(connect(settings)) as connection:
        migrate(connection, settings.database, settings.retention_days)
    return settings

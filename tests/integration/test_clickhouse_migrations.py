"""A ClickHouse is brought to this release whatever state it was left in."""

from collections.abc import Generator
from contextlib import closing

import pytest

from sinks.clickhouse import ClickHouseSink
from sinks.connection import Connection, connect
from sinks.migrate import MigrationChanged, migrate, migrations
from sinks.settings import ClickHouseSettings
from tests.clickhouse_engine import new_database, running_engine
from tests.fakes.call_rows import call_row

pytestmark = pytest.mark.integration
ALL = tuple(migration.name for migration in migrations())


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Generator[ClickHouseSettings]:
    with running_engine(tmp_path_factory.mktemp("clickhouse")) as settings:
        yield settings


@pytest.fixture
def connection(engine: ClickHouseSettings) -> Generator[Connection]:
    with closing(connect(engine)) as connection:
        yield connection


def table(connection: Connection, database: str, name: str = "call_rows") -> str:
    return str(connection.command(f"SHOW CREATE TABLE {database}.{name}"))


def attempts(connection: Connection, database: str) -> list[str]:
    statement = "SELECT attempt_id FROM {database:Identifier}.calls ORDER BY attempt_id"
    return [attempt for (attempt,) in connection.query(statement, {"database": database}).result_rows]


def test_an_empty_server_gets_everything_once(connection: Connection) -> None:
    assert migrate(connection, "fresh", 400) == ALL
    assert migrate(connection, "fresh", 400) == ()


def test_a_run_that_was_broken_off_is_completed_by_the_next(connection: Connection) -> None:
    migrate(connection, "broken_off", 400)
    connection.command("DELETE FROM broken_off.schema_migrations WHERE name >= '003'")
    connection.command("DROP VIEW broken_off.errors_hourly")
    assert migrate(connection, "broken_off", 400) == ALL[2:]
    connection.query("SELECT * FROM broken_off.errors_hourly")


def test_rows_survive_a_migration_that_is_repeated(engine: ClickHouseSettings, connection: Connection) -> None:
    settings = new_database(engine)
    with closing(ClickHouseSink(settings)) as sink:
        sink.write([call_row(1)])
    connection.command(f"TRUNCATE TABLE {settings.database}.schema_migrations")
    assert migrate(connection, settings.database, 400) == ALL
    assert attempts(connection, settings.database) == ["attempt-1"]


def test_a_database_with_another_file_under_a_known_name_is_left_alone(connection: Connection) -> None:
    migrate(connection, "edited", 400)
    connection.command("INSERT INTO edited.schema_migrations (name, checksum) VALUES ('003_calls.sql', 'another')")
    connection.command("DROP VIEW edited.calls")
    with pytest.raises(MigrationChanged, match=r"003_calls\.sql"):
        migrate(connection, "edited", 400)
    assert connection.command("EXISTS VIEW edited.calls") == 0


def test_the_retention_follows_the_setting(connection: Connection) -> None:
    migrate(connection, "kept", 400)
    assert "toIntervalDay(400)" in table(connection, "kept")
    migrate(connection, "kept", 30)
    assert "toIntervalDay(30)" in table(connection, "kept")
    assert "toIntervalDay(400)" not in table(connection, "kept")
    assert connection.query("SELECT days FROM kept.rows_kept").result_rows == [(30,)]


def test_sums_are_kept_longer_than_what_they_were_made_of(connection: Connection) -> None:
    migrate(connection, "kept_longer", 30, 1_000)
    assert "toIntervalDay(30)" in table(connection, "kept_longer", "adjustments")
    assert "toIntervalDay(1000)" in table(connection, "kept_longer", "call_days")


def test_rows_older_than_the_retention_go_and_those_of_a_broken_clock_stay(
    engine: ClickHouseSettings, connection: Connection
) -> None:
    settings = new_database(engine)
    now_ms = int(str(connection.command("SELECT toUnixTimestamp64Milli(now64(3))")))
    old, day_ms = now_ms - 401 * 86_400_000, 86_400_000
    with closing(ClickHouseSink(settings)) as sink:
        sink.write(
            [
                call_row(1, produced_at_ms=old, published_at_ms=old + 5),
                call_row(2, produced_at_ms=old + 2 * day_ms, published_at_ms=None),
                call_row(3, produced_at_ms=0, published_at_ms=now_ms),
                call_row(4, produced_at_ms=253_402_300_799_999),
            ]
        )
    connection.command(f"OPTIMIZE TABLE {settings.database}.call_rows FINAL")
    assert attempts(connection, settings.database) == ["attempt-2", "attempt-3", "attempt-4"]

"""What the questions of docs/analytics.md take, and what rows take on the disk: `python -m scripts.measure.analytics`.

A real engine in a process of its own, and a month of calls that ClickHouse makes itself (`generated_calls.sql`). The
days before today are rolled up; today is read from its rows, as it is while rows keep coming.
"""

import argparse
import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from sinks.connection import Connection, connect
from sinks.embedded.process import start_embedded_clickhouse
from sinks.migrate import migrate
from sinks.roll_up import roll_up
from sinks.settings import ClickHouseSettings

PAGE = Path(__file__).parents[2] / "docs" / "analytics.md"
GENERATED = Path(__file__).with_name("generated_calls.sql").read_text("utf-8")
DAYS = 30
TIMES = 3
_QUESTION = re.compile(r"^([A-Z][^\n]*\?)\n\n```sql\n(SELECT.+?)```", re.DOTALL | re.MULTILINE)
_GROUPS: Mapping[str, str] = {
    "ids and trace": r"_id$|^trace_parent$|^origin_",
    "names and labels": r"^(tenant|user|feature|env|prompt|labels|task|model|provider|deployment|region|route)",
    "provider's usage block": r"^usage_raw$",
    "token buckets": r"_tokens$",
    "money": r"_usd$|^price_version$|^cost_status$",
    "times": r"_at$|_ms$",
    "outcome and the rest": "",
}


@dataclass(frozen=True, slots=True)
class Size:
    group: str
    mb_per_million: float


@dataclass(frozen=True, slots=True)
class Timing:
    question: str
    seconds: float
    """The median of TIMES."""
    rows: int


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.measure.analytics", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="how many (default 10000000)")
    rows: int = parser.parse_args().rows
    with TemporaryDirectory() as folder, start_embedded_clickhouse(Path(folder)) as engine:
        settings = ClickHouseSettings(host=engine.host, port=engine.port, send_timeout_s=600)
        with closing(connect(settings)) as connection:
            migrate(connection, settings.database, settings.retention_days)
            _say("seconds to make the rows", lambda: generate(connection, settings.database, rows))
            _say("seconds to roll all days up", lambda: roll_up(connection, settings.database))
            _settle(connection, settings.database)
            _say("seconds to roll today up", lambda: roll_up(connection, settings.database))
            for size in sizes(connection, settings.database, rows):
                print(f"{size.group:<24}{size.mb_per_million:>8.1f} MB per million calls")
            for timing in timings(connection):
                print(f"{timing.seconds:>7.3f} s {timing.rows:>6} rows  {timing.question}", flush=True)


def _say(what: str, work: Callable[[], object]) -> None:
    started_s = time.monotonic()
    work()
    print(f"{what}: {time.monotonic() - started_s:.1f}", flush=True)


def generate(connection: Connection, database: str, rows: int) -> None:
    """One insert for each day, the oldest first. Today has as many as any other day, however much of it has passed."""
    now = datetime.now(UTC)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    each = rows // DAYS
    for ago in reversed(range(DAYS)):
        day, passed = DAYS - 1 - ago, timedelta(days=1) if ago else now - today
        connection.command(
            GENERATED,
            {
                "database": database,
                "first": day * each,
                "rows": each,
                "spacing_us": passed // timedelta(microseconds=1) // each,
                "from": (today - timedelta(days=ago)).strftime("%Y-%m-%d %H:%M:%S.000"),
            },
        )


def _settle(connection: Connection, database: str) -> None:
    """As if what was produced before today had been stored, and rolled up, a day ago."""
    connection.command(
        f"ALTER TABLE {database}.call_days UPDATE rolled_up_at = rolled_up_at + INTERVAL 1 DAY "
        "WHERE day < today() SETTINGS mutations_sync = 2"
    )


def sizes(connection: Connection, database: str, rows: int) -> Iterator[Size]:
    found = connection.query(
        "SELECT table, column, sum(column_bytes_on_disk) FROM system.parts_columns "
        "WHERE active AND database = {database:String} AND table IN ('call_rows', 'call_days') GROUP BY table, column",
        {"database": database},
    ).result_rows
    totals = dict.fromkeys(_GROUPS, 0)
    for table, column, size in found:
        if table == "call_rows":
            totals[next(name for name, pattern in _GROUPS.items() if re.search(pattern, str(column)))] += int(size)
    for name, total in totals.items():
        yield Size(name, total / rows)
    yield Size("all of a call's row", sum(totals.values()) / rows)
    yield Size("what is rolled up", sum(int(size) for table, _, size in found if table == "call_days") / rows)


def questions(page: str) -> Sequence[tuple[str, str]]:
    return [(question, statement) for question, statement in _QUESTION.findall(page)]


def timings(connection: Connection) -> Iterator[Timing]:
    """On two threads, whatever the machine has."""
    for question, statement in questions(PAGE.read_text("utf-8")):
        taken_s: list[float] = []
        rows = 0
        for _ in range(TIMES):
            started_s = time.monotonic()
            rows = len(connection.query(f"{statement}\nSETTINGS max_threads = 2").result_rows)
            taken_s.append(time.monotonic() - started_s)
        yield Timing(question, statistics.median(taken_s), rows)


if __name__ == "__main__":
    main()

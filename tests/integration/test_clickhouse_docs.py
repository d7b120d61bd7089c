"""Every statement of docs/analytics.md does on a real engine what the page says."""

import json
import re
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from schemas.usage import Cost
from sinks.clickhouse import ClickHouseSink
from sinks.connection import Connection, connect
from sinks.migrate import migrate, migrations
from tests.clickhouse_engine import running_engine
from tests.fakes.call_rows import UNKNOWN, call_row

pytestmark = pytest.mark.integration

PAGE = (Path(__file__).parents[2] / "docs" / "analytics.md").read_text("utf-8")
BLOCKS = re.findall(r"```sql\n(.+?)```", PAGE, re.DOTALL)
QUESTIONS = [block.strip() for block in BLOCKS if block.startswith("SELECT")]
ACCESS = [
    statement.strip() for block in BLOCKS if not block.startswith("SELECT") for statement in block.split(";\n")[:-1]
]


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Generator[Connection]:
    """To an engine where one of everything happened this very second."""
    with running_engine(tmp_path_factory.mktemp("clickhouse")) as settings, closing(connect(settings)) as connection:
        migrate(connection, settings.database, settings.retention_days)
        now_ms = int(str(connection.command("SELECT toUnixTimestamp64Milli(now64(3))")))
        with closing(ClickHouseSink(settings)) as sink:
            sink.write(
                [
                    call_row(1, produced_at_ms=now_ms),
                    call_row(2, produced_at_ms=now_ms, cost=Cost(status="unpriced")),
                    call_row(3, produced_at_ms=now_ms, attempt_no=0, cache="exact"),
                    call_row(4, "settled", produced_at_ms=now_ms, cost=UNKNOWN, error_class="timeout"),
                ]
            )
        yield connection


def test_the_page_has_questions_and_access_statements() -> None:
    assert len(QUESTIONS) == 8
    assert len(ACCESS) == 8


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_question_is_answered(connection: Connection, question: str) -> None:
    answer = connection.query(question)
    assert answer.result_rows
    assert len(answer.column_names) > 2


@pytest.mark.parametrize("statement", ACCESS)
def test_every_access_statement_is_understood(connection: Connection, statement: str) -> None:
    """The embedded engine keeps no users, so these are parsed here; what they permit is tested below."""
    assert connection.command(f"EXPLAIN AST {statement}")


@pytest.mark.parametrize("name", ["calls", "cost_daily", "latency_hourly", "errors_hourly", "call_rows"])
def test_every_column_the_page_names_exists(connection: Connection, name: str) -> None:
    table = connection.query(
        "SELECT name FROM system.columns WHERE database = 'millrace' AND table = {t:String}", {"t": name}
    )
    assert f"`{name}`" in PAGE
    assert table.result_rows


_CHILD = """
import json, sys, chdb
connection = chdb.connect(sys.argv[1])
answers = []
for statement in json.load(sys.stdin):
    try:
        answers.append(str(connection.query(statement, "TabSeparated")).strip())
    except Exception as error:
        answers.append(str(error))
json.dump(answers, sys.stdout)
"""
_CONFIG = """
<clickhouse>
  <users_config>{path}</users_config>
  <profiles><default/></profiles>
  <quotas><default/></quotas>
  <users>
    <default>
      <password/>
      <networks><ip>127.0.0.1</ip><ip>::1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <grants>{grants}</grants>
      <databases><millrace><call_rows><filter>{rows}</filter></call_rows></millrace></databases>
    </default>
  </users>
</clickhouse>
"""


class OneUserEngine:
    """The engine, run by a process whose only user has the rights that the page gives to `user`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.run(None, [statement for migration in migrations() for statement in migration.statements("millrace")])

    def run(self, user: str | None, statements: Sequence[str]) -> list[str]:
        store = str(self._folder / "store")
        if user is not None:
            store += f"?config-file={self._config(user)}"
        child = subprocess.run(  # noqa: S603 - this interpreter, with a script of ours
            [sys.executable, "-c", _CHILD, store],
            input=json.dumps(statements),
            capture_output=True,
            check=True,
            text=True,
        )
        return json.loads(child.stdout)

    def _config(self, user: str) -> Path:
        path = self._folder / f"{user}.xml"
        grants = [one.partition(" TO ")[0] for one in ACCESS if one.startswith("GRANT") and one.endswith(f" TO {user}")]
        policies = re.findall(rf"USING (.+) TO {user}$", "\n".join(ACCESS), re.MULTILINE)
        path.write_text(
            _CONFIG.format(
                path=path,
                grants="".join(f"<query>{grant}</query>" for grant in grants),
                rows=policies[0] if policies else 1,
            )
        )
        return path


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> OneUserEngine:
    engine = OneUserEngine(tmp_path_factory.mktemp("users"))
    insert = "INSERT INTO millrace.call_rows (tenant_id, request_id, attempt_id, produced_at) VALUES "
    answers = engine.run(
        "millrace_sink",
        [
            insert + "('acme', 'r1', 'a1', 1795000000000)",
            insert + "('umbrella', 'r2', 'a2', 1795000000000)",
            "SELECT count() FROM millrace.call_rows",
            "TRUNCATE TABLE millrace.call_rows",
            "SELECT count() > 0 FROM system.settings",
        ],
    )
    assert answers[:2] == ["", ""]
    assert all("ACCESS_DENIED" in answer for answer in answers[2:4])
    assert answers[4] == "1", "the driver reads the server's settings when it connects"
    return engine


def test_the_analyst_reads_all_tenants_through_the_views_and_changes_nothing(users: OneUserEngine) -> None:
    answers = users.run(
        "millrace_analyst",
        [
            "SELECT tenant_id FROM millrace.calls ORDER BY tenant_id",
            "INSERT INTO millrace.call_rows (tenant_id) VALUES ('mallory')",
            "DROP VIEW millrace.calls",
        ],
    )
    assert answers[0] == "acme\numbrella"
    assert all("ACCESS_DENIED" in answer for answer in answers[1:])


@pytest.mark.parametrize("relation", ["call_rows", "calls", "cost_daily"])
def test_a_tenants_analyst_sees_only_that_tenant_whatever_is_asked(users: OneUserEngine, relation: str) -> None:
    found = users.run("acme_analyst", [f"SELECT DISTINCT tenant_id FROM millrace.{relation}"])  # noqa: S608 - our names
    assert found == ["acme"]

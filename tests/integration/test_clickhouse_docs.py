"""Every statement of docs/analytics.md does on a real engine what the page says."""

import json
import re
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import closing
from decimal import Decimal
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


def policies(user: str) -> dict[str, str]:
    """The condition on each table."""
    return dict(re.findall(rf"ON millrace\.(\w+) USING (.+) TO {user}$", "\n".join(ACCESS), re.MULTILINE))


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
                    call_row(3, produced_at_ms=now_ms, attempt_no=0, cache="exact", saved_usd=Decimal("0.001")),
                    call_row(4, "settled", produced_at_ms=now_ms, cost=UNKNOWN, error_class="timeout"),
                ]
            )
        yield connection


def test_the_page_has_questions_and_access_statements() -> None:
    assert len(QUESTIONS) == 16
    assert len(ACCESS) == 18


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_question_is_answered(connection: Connection, question: str) -> None:
    answer = connection.query(question)
    assert answer.result_rows
    assert len(answer.column_names) > 2


@pytest.mark.parametrize("statement", ACCESS)
def test_every_access_statement_is_understood(connection: Connection, statement: str) -> None:
    """The embedded engine keeps no users, so these are parsed here; what they permit is tested below."""
    assert connection.command(f"EXPLAIN AST {statement}")


def test_the_page_names_every_table_and_view_but_those_behind_others(connection: Connection) -> None:
    found = {str(name) for (name,) in connection.query("SHOW TABLES FROM millrace").result_rows}
    behind = {name for name in found if name.endswith("_of_rows")} | {"latency_of_days", "schema_migrations"}
    assert {name for name in found - behind if f"`{name}`" not in PAGE} == set()


def test_every_table_with_a_tenant_in_it_has_a_policy_for_each_analyst(connection: Connection) -> None:
    """Whoever adds a table, and no policy, shows every tenant to all."""
    holding = connection.query(
        "SELECT table FROM system.columns WHERE database = 'millrace' AND name = 'tenant_id' AND table IN "
        "(SELECT name FROM system.tables WHERE database = 'millrace' AND engine LIKE '%MergeTree')"
    )
    for analyst in ("acme_analyst", "millrace_analyst"):
        assert set(policies(analyst)) == {str(name) for (name,) in holding.result_rows}


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
      <databases><millrace>{rows}</millrace></databases>
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
        path.write_text(
            _CONFIG.format(
                path=path,
                grants="".join(f"<query>{grant}</query>" for grant in grants),
                rows="".join(f"<{on}><filter>{those}</filter></{on}>" for on, those in policies(user).items()),
            )
        )
        return path


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> OneUserEngine:
    engine = OneUserEngine(tmp_path_factory.mktemp("users"))
    insert = "INSERT INTO millrace.call_rows (tenant_id, request_id, attempt_id, produced_at) VALUES "
    engine.run(
        None,
        [
            "INSERT INTO millrace.adjustments (tenant_id, produced_at) VALUES ('acme', 1795000000000), ('umbrella', 1)",
            """INSERT INTO millrace.call_days (tenant_id, day, rolled_up_at, minutes)
            SELECT tenant_id, '2026-01-01', now64(3), [(0, 1, 1, 0, 0, 0, NULL, 0)] FROM millrace.adjustments""",
            "INSERT INTO millrace.budget_accounts (tenant_id, budget) VALUES ('acme', 'b'), ('umbrella', 'b')",
        ],
    )
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


@pytest.mark.parametrize(
    "relation",
    [
        *("call_rows", "call_days", "adjustments", "calls", "calls_adjusted", "ledger", "cost_daily", "cost_by_minute"),
        *("requests", "stale_days", "budget_status", "litellm_spend_logs", "focus"),
    ],
)
def test_a_tenants_analyst_sees_only_that_tenant_whatever_is_asked(users: OneUserEngine, relation: str) -> None:
    found = users.run("acme_analyst", [f"SELECT DISTINCT tenant_id FROM millrace.{relation}"])  # noqa: S608 - our names
    assert found == ["acme"]

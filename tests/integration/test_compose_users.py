"""The users of compose/clickhouse/users.xml, on a real engine: each may do its work and nothing else.

A process has one engine and logs in as `default`. So the file is merged into the engine's configuration as the server
merges it, with the user in question under that name, in a process for each.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from sinks.migrate import migrations
from tests.compose_files import COMPOSE, PANELS
from tests.grafana_macros import expanded

pytestmark = pytest.mark.integration

USERS = (COMPOSE / "clickhouse" / "users.xml").read_text("utf-8")
INSERT = "INSERT INTO millrace.call_rows (tenant_id, request_id, attempt_id, produced_at) VALUES ('acme', 'r', 'a', 1)"
RETENTION = "ALTER TABLE millrace.call_rows MODIFY TTL produced_at + toIntervalDay(30)"
RECORD = "INSERT INTO millrace.schema_migrations (name, checksum) VALUES ('001', 'c')"
_ENGINE = """
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
_SERVER = "<clickhouse><users_config>{folder}/users.xml</users_config></clickhouse>"
_BASE = """
<clickhouse><profiles><default/></profiles><quotas><default/></quotas>
<users><default>
  <password/><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>{rights}
</default></users></clickhouse>
"""
_ALL_RIGHTS = "<access_management>1</access_management>"


class Engine:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "users.d").mkdir()
        (folder / "server.xml").write_text(_SERVER.format(folder=folder))

    def run(self, user: str | None, statements: Sequence[str]) -> list[str]:
        """What each statement answers, or why it was refused. Without a user, as one who may do everything."""
        users = USERS.replace('<default remove="remove"/>', "")
        if user is not None:
            users = re.sub(rf"(</?){user}>", r"\1default>", users)
        (self._folder / "users.d" / "millrace.xml").write_text(users)
        (self._folder / "users.xml").write_text(_BASE.format(rights=_ALL_RIGHTS if user is None else ""))
        child = subprocess.run(  # noqa: S603  (this interpreter, with a script of ours)
            [sys.executable, "-c", _ENGINE, f"{self._folder}/store?config-file={self._folder}/server.xml"],
            input=json.dumps(statements),
            capture_output=True,
            check=True,
            text=True,
        )
        return json.loads(child.stdout)

    def use_passwords_of(self, secrets: Path) -> None:
        shutil.copy(secrets / "clickhouse_passwords.xml", self._folder / "users.d" / "passwords.xml")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Set up by the migrator, as `tables` does it."""
    folder, secrets = tmp_path_factory.mktemp("engine"), tmp_path_factory.mktemp("secrets")
    subprocess.run([COMPOSE / "secrets" / "create", secrets], check=True)  # noqa: S603  (a script of ours)
    engine = Engine(folder)
    engine.use_passwords_of(secrets)
    statements = [statement for migration in migrations() for statement in migration.statements("millrace")]
    wanted = [*statements, *statements, RECORD, RETENTION, "EXISTS TABLE millrace.calls"]
    answers = engine.run(
        "millrace_migrator", [*wanted, "SHOW CREATE TABLE millrace.call_rows", "CREATE DATABASE other"]
    )
    assert answers[: len(wanted)] == [""] * (len(wanted) - 1) + ["1"]
    assert "toIntervalDay(30)" in answers[-2]
    assert "ACCESS_DENIED" in answers[-1]
    return engine


def test_the_sink_inserts_call_rows_and_does_nothing_else(engine: Engine) -> None:
    inserted, *refused, settings = engine.run(
        "millrace_sink",
        [
            INSERT,
            "SELECT count() FROM millrace.call_rows",
            "SELECT count() FROM millrace.calls",
            RECORD,
            "TRUNCATE TABLE millrace.call_rows",
            RETENTION,
            "SELECT count() > 0 FROM system.settings",
        ],
    )
    assert inserted == ""
    assert all("ACCESS_DENIED" in answer for answer in refused)
    assert settings == "1", "the driver reads the server's settings when it connects"


def test_upkeep_reads_and_writes_what_it_sums_up_and_nothing_else(engine: Engine) -> None:
    *done, rows, prices, columns = engine.run(
        "millrace_upkeep",
        [
            "SELECT count() FROM millrace.stale_days",
            "INSERT INTO millrace.call_days (tenant_id, day) VALUES ('acme', '2026-11-18')",
            "INSERT INTO millrace.budget_accounts (tenant_id, budget) VALUES ('acme', 'month')",
            INSERT,
            "INSERT INTO millrace.adjustments (adjustment_id) VALUES ('a')",
            "SELECT count() > 0 FROM system.columns WHERE database = 'millrace' AND table = 'spending_of_rows'",
        ],
    )
    assert not [answer for answer in done if "Code:" in answer]
    assert "ACCESS_DENIED" in rows
    assert "ACCESS_DENIED" in prices
    assert columns == "1"


def test_the_analyst_runs_every_panel_and_changes_nothing(engine: Engine) -> None:
    panels = [expanded(panel.sql, from_s=0, to_s=3_600) for panel in PANELS if panel.sql is not None]
    answers = engine.run("millrace_analyst", [*panels, INSERT, "DROP VIEW millrace.calls", "CREATE DATABASE other"])
    assert not [answer for answer in answers[: len(panels)] if "Code:" in answer]
    assert all("Code:" in answer for answer in answers[len(panels) :])


def test_the_analyst_may_not_take_all_of_the_server(engine: Engine) -> None:
    (limits,) = engine.run("millrace_analyst", ["SELECT getSetting('max_execution_time'), getSetting('readonly')"])
    assert limits.split() == ["60", "2"]


def test_nobody_is_without_a_password_and_the_default_user_is_removed(engine: Engine) -> None:
    (users,) = engine.run(None, ["SELECT name, auth_type FROM system.users WHERE name != 'default' ORDER BY name"])
    assert [line.split("\t") for line in users.splitlines()] == [
        [f"millrace_{name}", "['plaintext_password']"] for name in ("analyst", "migrator", "sink", "upkeep")
    ]
    assert '<default remove="remove"/>' in USERS

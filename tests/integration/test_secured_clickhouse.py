"""The sink and the commands over TLS: they store with whom they trust, and tell in a sentence why they do not trust."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from scripts.local.parts import healthy
from scripts.stack.process import Command, spawn
from scripts.stack.readiness import holds_within
from sinks.clickhouse import ClickHouseSink
from sinks.connection import connect
from sinks.faults import OPERATOR_S
from sinks.migrate import migrate
from sinks.protocol import Unavailable
from sinks.settings import ClickHouseSettings
from tests.fakes.call_rows import call_row
from tests.fakes.tls_door import tls_before
from tests.integration.authority import Authority
from tests.integration.millrace import Millrace

pytestmark = pytest.mark.integration

USER, PASSWORD = "millrace_sink", "canary-clickhouse-password"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def engine_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server that lets one user in, with its password."""
    folder = tmp_path_factory.mktemp("clickhouse")
    port_file, password = folder / "port", folder / "password"
    password.write_text(PASSWORD)
    argv = [sys.executable, "-m", "sinks.embedded", "--path", str(folder / "data"), "--port", "0"]
    login = ["--port-file", str(port_file), "--user", USER, "--password-file", str(password)]
    child = spawn(Command([*argv, *login], folder / "log"))
    try:
        assert holds_within(60, healthy(port_file, "/ping"))
        yield int(port_file.read_text())
    finally:
        child.stop(20)


@pytest.fixture(scope="module")
def trusted(authority: Authority, engine_port: int) -> Iterator[int]:
    """The port of a door whose certificate is in order."""
    with tls_before(engine_port, authority.server("clickhouse", "127.0.0.1")) as door:
        yield door.port


def settings(port: int, authority: Path | None, **changes: object) -> ClickHouseSettings:
    given = {"port": port, "secure": True, "ca_file": authority, "user": USER, "password": SecretStr(PASSWORD)}
    return ClickHouseSettings.model_validate({**given, **changes})


def test_rows_are_stored_and_read_over_tls_by_a_user_with_a_password(trusted: int, authority: Authority) -> None:
    secured = settings(trusted, authority.file)
    connection = connect(secured)
    migrate(connection, secured.database, secured.retention_days)
    sink = ClickHouseSink(secured)

    sink.write([call_row(number) for number in range(2_000)])
    sink.close()

    assert connection.query("SELECT count() FROM millrace.calls").result_rows == [(2_000,)]
    connection.close()


@pytest.mark.parametrize(
    ("host", "expired", "trusts", "told"),
    [
        (
            "127.0.0.1",
            False,
            "stranger",
            "signed by an authority that is not trusted here; set MILLRACE_CLICKHOUSE_CA_FILE",
        ),
        (
            "127.0.0.1",
            False,
            "system",
            "signed by an authority that is not trusted here; set MILLRACE_CLICKHOUSE_CA_FILE",
        ),
        ("127.0.0.1", True, "us", "its certificate has expired"),
        ("elsewhere.example", False, "us", "its certificate is not made for the name it is called by"),
    ],
    ids=["other authority", "system's authorities", "expired", "other host"],
)
def test_a_server_that_is_not_trusted_gets_no_row_and_no_password(
    engine_port: int, authority: Authority, host: str, expired: bool, trusts: str, told: str
) -> None:
    file = {"stranger": authority.strangers_file, "us": authority.file, "system": None}[trusts]
    with tls_before(engine_port, authority.server("wrong", host, expired=expired)) as door:
        sink = ClickHouseSink(settings(door.port, file))
        with pytest.raises(Unavailable) as refused:
            sink.write([call_row()])
        sink.close()
        assert door.trusted == 0

    assert told in refused.value.reason
    assert refused.value.reason.startswith(f"ClickHouse at 127.0.0.1:{door.port}: ")
    assert refused.value.retry_after_s == OPERATOR_S, "somebody has to put it right first"


def test_a_server_without_tls_is_told_apart_from_one_that_is_away(engine_port: int, authority: Authority) -> None:
    sink = ClickHouseSink(settings(engine_port, authority.file))
    with pytest.raises(Unavailable, match=r"TLS does not come about .* check MILLRACE_CLICKHOUSE_SECURE"):
        sink.write([call_row()])
    sink.close()


def test_a_wrong_password_is_told_by_its_variable_and_never_shown(trusted: int, authority: Authority) -> None:
    secured = settings(trusted, authority.file, password=SecretStr("canary-wrong"))
    sink = ClickHouseSink(secured)
    with pytest.raises(Unavailable, match="check MILLRACE_CLICKHOUSE_USER and MILLRACE_CLICKHOUSE_PASSWORD") as refused:
        sink.write([call_row()])
    sink.close()
    assert "canary" not in f"{refused.value} {refused.value.reason} {secured!r}"


def test_the_commands_say_the_same_in_one_sentence(
    trusted: int, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    environment = {
        "MILLRACE_CLICKHOUSE_PORT": str(trusted),
        "MILLRACE_CLICKHOUSE_SECURE": "true",
        "MILLRACE_CLICKHOUSE_CA_FILE": str(authority.strangers_file),
        "MILLRACE_CLICKHOUSE_USER": USER,
        "MILLRACE_CLICKHOUSE_PASSWORD": PASSWORD,
        "MILLRACE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    }
    refused = Millrace(environment)("costs")
    assert refused.status == 2
    assert "is not trusted here; set MILLRACE_CLICKHOUSE_CA_FILE" in refused.err
    allowed = Millrace({**environment, "MILLRACE_CLICKHOUSE_CA_FILE": str(authority.file)})("tables", "show", "--json")
    assert allowed.status in {0, 1}
    assert json.loads(allowed.out)
    assert "canary" not in refused.out + refused.err + allowed.out + allowed.err + caplog.text

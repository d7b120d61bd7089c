"""The embedded server as a process: how it starts, stops, dies, and what is there afterwards."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sinks.embedded.process import EmbeddedClickHouse, EmbeddedClickHouseError, start_embedded_clickhouse
from tests.integration.orphans import first_line, start_parent
from tests.integration.test_embedded_clickhouse_http import ask

pytestmark = pytest.mark.integration

LOOK = "SELECT count() FROM system.processes WHERE Settings['log_comment'] = 'watched'"


def until(condition: Callable[[], bool], within_s: float = 30.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, "waited too long"


def command_line(path: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - this interpreter, and a module of this project
        [sys.executable, "-m", "sinks.embedded", f"--path={path}", "--port=0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def served_by(process: "subprocess.Popen[bytes]") -> EmbeddedClickHouse:
    """Found by the line it prints."""
    assert process.stdout is not None
    return EmbeddedClickHouse("127.0.0.1", int(process.stdout.readline().rpartition(b":")[2]), process)


def test_data_are_there_after_a_restart(tmp_path: Path) -> None:
    with start_embedded_clickhouse(tmp_path) as server:
        ask(server, "CREATE TABLE kept (a UInt64) ENGINE = MergeTree ORDER BY a")
        ask(server, "CREATE DATABASE mine")
        ask(server, "CREATE VIEW mine.v AS SELECT max(a) AS largest FROM default.kept")
        ask(server, "INSERT INTO kept SELECT number FROM numbers(1000)")
    assert server.process.returncode == 0
    for _ in range(2):
        with start_embedded_clickhouse(tmp_path) as again:
            assert ask(again, "SELECT count(), max(a) FROM kept").text == "1000\t999\n"
            assert ask(again, "SELECT largest FROM mine.v").text == "999\n"


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    server = start_embedded_clickhouse(tmp_path)
    ask(server, "CREATE TABLE kept (a UInt64) ENGINE = MergeTree ORDER BY a")
    assert ask(server, b"1\n2\n3\n", {"query": "INSERT INTO kept FORMAT TSV"}).status == 200
    server.process.kill()
    server.stop()
    (tmp_path / "scratch" / "rows-left").write_text("by the killed process")
    with start_embedded_clickhouse(tmp_path) as again:
        assert ask(again, "SELECT sum(a) FROM kept").text == "6\n"
    assert not (tmp_path / "scratch" / "rows-left").exists()


def test_a_running_query_is_finished_before_the_server_goes(tmp_path: Path) -> None:
    server = start_embedded_clickhouse(tmp_path)
    with ThreadPoolExecutor(1) as threads:
        statement = "SELECT sum(sleepEachRow(0.02)) FROM numbers(100) SETTINGS max_block_size = 1"
        answer = threads.submit(ask, server, statement, {"query_id": "watched"})
        until(lambda: ask(server, LOOK).text == "1\n")
        server.process.send_signal(signal.SIGTERM)
        assert answer.result().text == "0\n"
    assert server.process.wait(20) == 0
    server.stop()


def test_a_query_that_does_not_end_is_ended_after_the_grace_time(tmp_path: Path) -> None:
    process = command_line(tmp_path, "--grace-s=1")
    server = served_by(process)
    with ThreadPoolExecutor(1) as threads:
        statement = "SELECT sleepEachRow(0.05) FROM numbers(100000) SETTINGS max_block_size = 1, max_execution_time = 0"
        answer = threads.submit(ask, server, statement, {"query_id": "watched"})
        until(lambda: ask(server, LOOK).text == "1\n")
        process.terminate()
        assert process.wait(20) == 0
        assert answer.exception() is not None or answer.result().status >= 400
    process.communicate()


def test_a_second_process_on_the_same_data_is_told_who_has_them(tmp_path: Path) -> None:
    with start_embedded_clickhouse(tmp_path) as first:
        second = command_line(tmp_path)
        _, said = second.communicate(timeout=30)
        assert second.returncode == 1
        owner = f"{tmp_path} is served by another process (pid {first.process.pid})"
        assert said == f"embedded ClickHouse: {owner}. Stop it or choose another directory.\n".encode()
        assert ask(first, "SELECT 1").text == "1\n"


def test_a_directory_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "engine" / "store").mkdir(parents=True)
    with pytest.raises(EmbeddedClickHouseError, match="was not made by this server"):
        start_embedded_clickhouse(tmp_path)


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EmbeddedClickHouseError, match=f"port {port} of 127.0.0.1 cannot be used"):
            start_embedded_clickhouse(tmp_path, port=port)


def test_a_limit_on_the_size_of_files_is_refused_since_inserts_would_be_lost(tmp_path: Path) -> None:
    script = f'ulimit -f 1000; exec "{sys.executable}" -m sinks.embedded --port 0 --path "{tmp_path}"'
    shell = ["/bin/sh", "-c", script]
    said = subprocess.run(shell, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603  # our own words
    assert said.returncode == 1
    assert said.stderr.endswith("inserts would be lost: lift that limit (ulimit -f unlimited)\n")
    assert "Traceback" not in said.stderr


def test_damaged_data_are_an_error_in_one_sentence(tmp_path: Path) -> None:
    with start_embedded_clickhouse(tmp_path) as server:
        ask(server, "CREATE TABLE kept (a UInt64) ENGINE = MergeTree ORDER BY a")
    (damaged,) = (tmp_path / "engine" / "store").glob("*/*/kept.sql")
    damaged.write_text("no longer SQL")
    with pytest.raises(EmbeddedClickHouseError) as refused:
        start_embedded_clickhouse(tmp_path)
    assert "Traceback" not in str(refused.value)
    assert "embedded ClickHouse: the data cannot be opened." in str(refused.value)


def test_the_port_is_in_its_file_once_requests_are_answered(tmp_path: Path) -> None:
    port_file = tmp_path / "where"
    process = command_line(tmp_path / "data", f"--port-file={port_file}")
    server = served_by(process)
    assert port_file.read_text() == f"{server.port}\n"
    assert ask(server, method="GET", path="/ping").text == "Ok.\n"
    process.terminate()
    _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert events == ["embedded_clickhouse_started", "embedded_clickhouse_stopped"]


def test_a_configuration_in_the_callers_directory_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.xml").write_text("<clickhouse><default_database>stray</default_database></clickhouse>")
    monkeypatch.chdir(tmp_path)
    with start_embedded_clickhouse(tmp_path / "data & more?") as server:
        assert ask(server, "SELECT currentDatabase()").text == "default\n"


def test_the_server_goes_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from sinks.embedded.process import start_embedded_clickhouse\n"
        "server = start_embedded_clickhouse(pathlib.Path(sys.argv[1]))\n"
        "print(server.process.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with start_parent(program, str(tmp_path)) as parent:
        pid = int(first_line(parent))
        parent.kill()
    gone = os.pidfd_open(pid)
    assert select.select([gone], [], [], 30)[0]
    os.close(gone)
    with start_embedded_clickhouse(tmp_path) as again:
        assert ask(again, "SELECT 1").text == "1\n"


def test_a_user_and_a_password_are_asked_for_when_there_are_any(tmp_path: Path) -> None:
    password_file = tmp_path / "password"
    password_file.write_text("canary-secret\n")
    process = command_line(tmp_path / "data", "--user=anna", f"--password-file={password_file}")
    server = served_by(process)
    right = {"X-ClickHouse-User": "anna", "X-ClickHouse-Key": "canary-secret"}
    assert ask(server, "SELECT 1", headers=right).text == "1\n"
    assert ask(server, "SELECT 1", {"user": "anna", "password": "canary-secret"}).text == "1\n"
    for headers in ({}, right | {"X-ClickHouse-Key": "wrong"}, right | {"X-ClickHouse-User": "default"}):
        refused = ask(server, "SELECT 1", headers=headers)
        assert (refused.status, refused.code) == (403, "516")
    assert ask(server, method="GET", path="/ping").text == "Ok.\n"
    process.terminate()
    said, log = process.communicate(timeout=30)
    assert b"canary-secret" not in said + log


def test_a_query_that_takes_too_long_is_ended_by_default(tmp_path: Path) -> None:
    process = command_line(tmp_path, "--max-execution-s=1")
    server = served_by(process)
    reply = ask(server, "SELECT sleepEachRow(0.1) FROM numbers(1000) SETTINGS max_block_size = 1")
    assert (reply.status, reply.code) == (408, "159")
    process.terminate()
    process.communicate(timeout=30)

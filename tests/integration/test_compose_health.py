"""The health check of the image believes the process, and nobody else."""

import socket
import subprocess
import sys

import pytest

from streams.observe.health import Health, ObservationServer
from streams.observe.metrics import Metrics
from streams.observe.probe import probe

pytestmark = pytest.mark.integration


def serving(health: Health) -> ObservationServer:
    return ObservationServer("127.0.0.1", 0, lambda: health, Metrics())


def checked(port: int) -> subprocess.CompletedProcess[str]:
    """As the container runtime runs it."""
    return subprocess.run(  # noqa: S603  (this interpreter, with a module of ours)
        [sys.executable, "-m", "streams.observe.probe", str(port)], capture_output=True, check=False, text=True
    )


def test_a_process_whose_work_moves_is_healthy() -> None:
    with serving(Health("running", 3, 5)) as server:
        check = checked(server.port)
    assert check.returncode == 0
    assert '"state":"running"' in check.stdout


def test_a_process_whose_work_stands_still_is_not_and_says_why() -> None:
    with serving(Health("stalled", 3, 90_000, "unfinished events do not move")) as server:
        check = checked(server.port)
    assert check.returncode == 1
    assert "unfinished events do not move" in check.stdout
    assert check.stderr == ""


def test_a_process_that_is_stopping_is_left_to_finish() -> None:
    with serving(Health("stopping", 3, 5)) as server:
        assert probe(server.port)[0]


def test_nobody_listening_is_not_healthy() -> None:
    with socket.socket() as taken:  # so that nobody else listens there
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        assert probe(port) == (False, f"no answer on port {port}: ConnectionRefusedError")

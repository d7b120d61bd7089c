"""The health and metrics endpoint, and clients that do not behave."""

import socket
import struct
import urllib.request

import pytest

from streams.observe.health import Health, ObservationServer
from streams.observe.metrics import Metrics

pytestmark = pytest.mark.integration

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def _ask_and_go(port: int) -> None:
    """Asks for the metrics and resets the connection, as a scraper does whose time is up."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n" * 50)


def test_a_client_that_does_not_wait_for_its_answer_leaves_no_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    with ObservationServer("127.0.0.1", 0, lambda: Health("running", 0, 0), Metrics()) as server:
        for _ in range(20):
            _ask_and_go(server.port)
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/healthz") as answer:
            assert answer.status == 200
    assert "Traceback" not in capfd.readouterr().err


def test_a_bug_in_the_endpoint_is_one_line_of_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    def broken() -> Health:
        raise ZeroDivisionError

    with ObservationServer("127.0.0.1", 0, broken, Metrics()) as server, pytest.raises(OSError, match="closed"):
        urllib.request.urlopen(f"http://127.0.0.1:{server.port}/healthz")
    said = capfd.readouterr()
    assert "Traceback" not in said.err
    assert "ZeroDivisionError" in said.out + said.err

"""What stands between clients and the parts of a chaos run passes bytes, and breaks connections as it is told."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import pytest

from scripts.chaos.faults.network import CutOff, Disturbed
from scripts.chaos.network.gates import Gates
from scripts.chaos.network.mode import Holding, Losing, Passing, Refusing
from scripts.chaos.system import System
from scripts.stack.ports import LOOPBACK
from scripts.stack.readiness import holds_within

pytestmark = pytest.mark.integration

PLACE = "simulator"


class Echo:
    """Sends back what it gets, on every connection, and counts them."""

    def __init__(self) -> None:
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):  # it is closed already
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    @staticmethod
    def _echo(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65_536):
                    connection.sendall(data)
            except OSError:
                return


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def gates() -> Iterator[Gates]:
    with Gates() as opened:
        yield opened


@pytest.fixture
def door(gates: Gates, echo: Echo) -> int:
    return gates.led_to(PLACE, echo.port)


@pytest.fixture
def client(door: int) -> Iterator[socket.socket]:
    with socket.create_connection((LOOPBACK, door), timeout=20) as connected:
        yield connected


def said(client: socket.socket, text: bytes) -> bytes:
    """What comes back, up to as much as was sent."""
    client.sendall(text)
    return heard(client, len(text))


def heard(client: socket.socket, length: int) -> bytes:
    back = b""
    while len(back) < length and (more := client.recv(length - len(back))):
        back += more
    return back


def is_silent(client: socket.socket) -> bool:
    client.settimeout(0.3)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(20)
    return False


def is_reset(client: socket.socket) -> bool:
    try:
        client.recv(1)
    except ConnectionResetError:
        return True
    return False


def test_bytes_pass_whole_and_in_order(client: socket.socket) -> None:
    sent = bytes(range(256)) * 40_000  # more than all buffers on the way hold
    back: list[bytes] = []
    reader = threading.Thread(target=lambda: back.append(heard(client, len(sent))))
    reader.start()
    client.sendall(sent)
    reader.join(60)
    assert back == [sent]


def test_the_end_of_one_side_is_the_end_of_the_other(client: socket.socket, gates: Gates) -> None:
    assert said(client, b"hello") == b"hello"
    client.close()
    assert holds_within(20, lambda: gates.connections(PLACE) == 0)


def test_a_cut_resets_what_is_open_and_lets_clients_come_back(client: socket.socket, gates: Gates, door: int) -> None:
    assert said(client, b"hello") == b"hello"
    assert gates.cut(PLACE) == 1
    assert is_reset(client)
    with socket.create_connection((LOOPBACK, door), timeout=20) as again:
        assert said(again, b"again") == b"again"


def test_delayed_bytes_arrive_later_and_in_order(client: socket.socket, gates: Gates) -> None:
    gates.become(PLACE, Passing(delay_s=0.2))
    start_s = time.monotonic()
    client.sendall(b"one ")
    assert said(client, b"two") == b"one"  # as many bytes as were said last
    assert heard(client, 4) == b" two"
    assert time.monotonic() - start_s >= 0.4  # once each way
    gates.become(PLACE, Passing())
    assert said(client, b"quick") == b"quick"


def test_held_bytes_arrive_when_the_network_is_back(client: socket.socket, gates: Gates) -> None:
    gates.become(PLACE, Holding())
    client.sendall(b"waits")
    assert is_silent(client)
    gates.become(PLACE, Passing())
    assert heard(client, 5) == b"waits"


def test_lost_bytes_leave_a_connection_open_until_the_network_is_back(client: socket.socket, gates: Gates) -> None:
    assert said(client, b"hello") == b"hello"
    gates.become(PLACE, Losing())
    client.sendall(b"lost")
    assert is_silent(client)
    gates.become(PLACE, Passing())
    assert is_reset(client)


def test_a_connection_that_lost_nothing_goes_on(client: socket.socket, gates: Gates) -> None:
    assert said(client, b"hello") == b"hello"
    gates.become(PLACE, Losing())
    gates.become(PLACE, Passing())
    assert said(client, b"still here") == b"still here"


def test_who_is_refused_cannot_connect_until_the_gate_opens_again(
    client: socket.socket, gates: Gates, door: int
) -> None:
    assert said(client, b"hello") == b"hello"
    gates.become(PLACE, Refusing())
    assert is_reset(client)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, door), timeout=20)
    gates.heal()
    with socket.create_connection((LOOPBACK, door), timeout=20) as again:
        assert said(again, b"again") == b"again"


def test_where_nobody_listens_behind_the_gate_a_client_is_reset(gates: Gates, echo: Echo) -> None:
    door = gates.led_to(PLACE, echo.port)
    echo.close()
    try:
        with socket.create_connection((LOOPBACK, door), timeout=20) as client:
            assert is_reset(client)
    except ConnectionResetError:
        """So quickly that it never was a connection."""


@dataclass
class Doors:
    """Of a system, all that a fault of the network looks at."""

    gates: Gates


def test_what_needs_a_connection_waits_until_there_is_one(gates: Gates, door: int) -> None:
    system = cast("System", Doors(gates))
    faults = [CutOff(system, PLACE), Disturbed(system, PLACE, Losing()), Disturbed(system, PLACE, Holding())]
    assert {fault.hindrance() for fault in faults} == {"no connection leads there"}
    assert not Disturbed(system, PLACE, Refusing()).hindrance()
    with socket.create_connection((LOOPBACK, door), timeout=20) as client:
        assert said(client, b"hello") == b"hello"
        assert {fault.hindrance() for fault in faults} == {""}

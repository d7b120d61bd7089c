"""How a question goes over its connection, and when that is used again."""

import asyncio
import gc
import socket
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from streams.providers import connections as module
from streams.providers.connection import Connection
from streams.providers.connections import Connections
from streams.providers.protocol import Lost, NotSent
from streams.providers.transport import transport_error
from tests.fakes.http_server import Answer, RawServer, raw, serving, whole
from tests.fakes.tls_door import tls_before
from tests.integration.authority import Authority

pytestmark = [pytest.mark.integration, pytest.mark.asyncio]

BODY = b'{"said": "yes"}'
PLAIN = b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n" + BODY
DEADLINE_S = 20.0
STEADY_S = 0.3
"""Nothing more was sent for so long: the server waits."""


def keeping(data: bytes) -> Answer:
    """These bytes, and the connection stays."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return answer


@asynccontextmanager
async def facing(answer: Answer) -> AsyncGenerator[tuple[Connections, RawServer]]:
    async with serving(answer) as server:
        connections = Connections(f"{server.base_url}/v1/ask?version=1", {"x-always": "on"})
        try:
            yield connections, server
        finally:
            await connections.close()


async def said(connections: Connections, connect_s: float = 5.0) -> bytes:
    async with await connections.post(b"{}", {"x-once": "1"}, connect_s) as answer:
        return await answer.read()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not holds():  # noqa: ASYNC110  # nobody sets an event when a connection ends
            await asyncio.sleep(0.01)


async def test_a_question_goes_to_its_path_with_the_headers_of_all_and_its_own() -> None:
    async with facing(whole(BODY)) as (connections, server):
        assert await said(connections) == BODY

        (head,) = server.requests
        assert head["request"] == "POST /v1/ask?version=1 HTTP/1.1"
        assert (head["x-always"], head["x-once"], head["content-length"]) == ("on", "1", "2")
        assert head["host"] == server.base_url.removeprefix("http://")
        assert server.bodies == [b"{}"]


async def test_questions_at_the_same_time_have_a_connection_each_which_later_ones_share() -> None:
    async with facing(whole(BODY)) as (connections, server):
        for _ in range(2):
            assert await asyncio.gather(*(said(connections) for _ in range(8))) == [BODY] * 8

        assert (len(server.requests), server.connections) == (16, 8)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 15\r\n\r\n" + BODY,
        b"HTTP/1.0 200 OK\r\ncontent-length: 15\r\n\r\n" + BODY,
        PLAIN + b"HTTP/1.1 200 OK\r\n",
        PLAIN + PLAIN,
    ],
    ids=["told to close", "of a protocol that closes", "with the beginning of another", "twice"],
)
async def test_a_connection_that_cannot_be_trusted_with_another_question_gets_none(answer: bytes) -> None:
    async with facing(keeping(answer)) as (connections, server):
        for _ in range(2):
            try:
                assert await said(connections) == BODY
            except httpx2.RemoteProtocolError:
                assert answer.startswith(PLAIN)

        assert server.connections == 2


@pytest.mark.parametrize("chunked", [False, True])
async def test_what_comes_before_an_answer_is_not_taken_for_it(chunked: bool) -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nx-id: early\r\n\r\n"
    late = b"HTTP/1.1 200 OK\r\nX-Id: late\r\ntransfer-encoding: chunked\r\n\r\nf\r\n" + BODY + b"\r\n0\r\n\r\n"
    plain = b"HTTP/1.1 200 OK\r\nX-Id: late\r\ncontent-length: 15\r\n\r\n" + BODY
    async with (
        facing(keeping(early + (late if chunked else plain))) as (connections, _),
        await connections.post(b"{}", {}, 5.0) as answer,
    ):
        assert (answer.status, answer.header("x-id"), await answer.read()) == (200, "late", BODY)


async def test_what_no_server_may_send_before_an_answer_is_not_read_as_its_beginning() -> None:
    early = b"HTTP/1.1 150 Soon\r\ncontent-length: 3\r\n\r\nno!"
    async with facing(keeping(early + PLAIN)) as (connections, _):
        assert await said(connections) == BODY


@pytest.mark.parametrize("head", [b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"])
async def test_an_answer_without_a_body_ends(head: bytes) -> None:
    async with facing(keeping(head)) as (connections, server):
        assert [await said(connections) for _ in range(2)] == [b"", b""]
        assert server.connections == 1


@pytest.mark.parametrize("header", [b"", b"transfer-encoding: identity\r\n"])
async def test_a_body_of_no_stated_length_ends_with_its_connection(header: bytes) -> None:
    async with facing(raw(b"HTTP/1.1 200 OK\r\n" + header + b"\r\n" + BODY)) as (connections, server):
        assert [await said(connections) for _ in range(2)] == [BODY, BODY]
        assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"banana\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n" + BODY,
        b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\ncontent-length: 99\r\n\r\n" + BODY,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nf\r\n" + BODY,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n" + BODY,
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nf;x=" + b"y" * 100_000,
    ],
    ids=lambda answer: answer[-30:].decode(),
)
async def test_what_is_no_whole_answer_is_lost_and_its_connection_closed(answer: bytes) -> None:
    async with facing(raw(answer)) as (connections, server):
        with pytest.raises(httpx2.TransportError) as caught:
            await said(connections)

        assert isinstance(transport_error(caught.value), Lost)
        with pytest.raises(httpx2.TransportError):
            await said(connections)
        assert server.connections == 2


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"],
    ids=["head", "tail"],
)
async def test_headers_without_an_end_are_given_up_long_before_they_fill_the_memory(head: bytes) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(b"x-more: and more\r\n" * 1_000)
            await writer.drain()

    async with facing(endless) as (connections, _):
        with pytest.raises(httpx2.TransportError):
            await asyncio.wait_for(said(connections), DEADLINE_S)


async def test_an_answer_that_nobody_reads_is_not_taken_in() -> None:
    length, piece = 64 * 1024 * 1024, b"x" * 65_536
    sent = 0

    async def long(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % length)
        while sent < length:
            writer.write(piece)
            sent += len(piece)
            await writer.drain()

    async with facing(long) as (connections, _), await connections.post(b"{}", {}, 5.0) as answer:
        seen, since_s = -1, 0.0

        def is_held() -> bool:
            nonlocal seen, since_s
            now_s = asyncio.get_running_loop().time()
            if sent != seen:
                seen, since_s = sent, now_s
            return now_s - since_s >= STEADY_S

        await until(is_held)
        assert sent < length / 2, "the rest waits at the server, but for what the system's own buffers hold"
        assert sum([len(each) async for each in answer.pieces()]) == length


async def test_who_is_cancelled_while_asking_leaves_no_connection_behind() -> None:
    async with facing(keeping(b"")) as (connections, server):
        asking = asyncio.create_task(said(connections))
        await until(lambda: len(server.requests) == 1)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

        await until(lambda: server.ended == 1)
        assert connections.idle == 0


async def test_idle_connections_are_closed_before_the_server_might(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_IDLE_S", 0.05)
    async with facing(whole(BODY)) as (connections, server):
        await said(connections)
        await until(lambda: connections.idle == 0)
        await said(connections)
        assert server.connections == 2


@pytest.mark.parametrize("late", [b"", PLAIN], ids=["closed", "spoken on"])
async def test_a_connection_on_which_anything_happened_meanwhile_is_replaced_before_anything_is_sent(
    late: bytes,
) -> None:
    is_answered = asyncio.Event()

    async def once(writer: asyncio.StreamWriter) -> None:
        writer.write(PLAIN)
        await writer.drain()
        await is_answered.wait()
        writer.write(late)
        if not late:
            writer.close()

    async with facing(once) as (connections, server):
        await said(connections)
        assert connections.idle == 1
        is_answered.set()
        await until(lambda: connections.idle == 0)
        is_answered.clear()

        assert await said(connections) == BODY
        assert (len(server.requests), server.connections) == (2, 2)
        is_answered.set()


async def test_whoever_gets_no_connection_was_not_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    connections = Connections(f"http://127.0.0.1:{port}/v1", {})
    with pytest.raises(httpx2.ConnectError) as caught:
        await said(connections)

    assert isinstance(transport_error(caught.value), NotSent)


async def test_whoever_gets_no_connection_in_time_was_not_asked() -> None:
    """A door with a queue of one, which is taken: the next one's knock is not even refused."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as door:
        port = door.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        connections = Connections(f"http://127.0.0.1:{port}/v1", {})
        with pytest.raises(httpx2.ConnectTimeout) as caught:
            await said(connections, connect_s=0.2)
        for each in waiting:
            each.close()

    assert isinstance(transport_error(caught.value), NotSent)


async def test_a_server_is_asked_over_tls_only_when_its_certificate_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    async with serving(whole(BODY)) as server:
        port = int(server.base_url.rpartition(":")[2])
        with tls_before(port, authority.server("provider", "127.0.0.1")) as door:
            stranger = Connections(f"https://127.0.0.1:{door.port}/v1", {})
            with pytest.raises(httpx2.ConnectError) as caught:
                await said(stranger)
            assert isinstance(transport_error(caught.value), NotSent)
            assert (door.trusted, server.requests) == (0, [])

            monkeypatch.setattr(module, "_trusted", lambda: ssl.create_default_context(cafile=str(authority.file)))
            known = Connections(f"https://127.0.0.1:{door.port}/v1", {})
            assert await asyncio.gather(*(said(known) for _ in range(4))) == [BODY] * 4
            assert await said(known) == BODY
            await known.close()
            assert server.connections == 4


@pytest.mark.parametrize("head", [b"content-length: %d\r\nconnection: close\r\n", b""], ids=["of a length", "of none"])
async def test_a_long_answer_over_tls_is_whole_though_its_end_comes_with_it(
    head: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, body = Authority(tmp_path), b"word " * 600_000
    monkeypatch.setattr(module, "_trusted", lambda: ssl.create_default_context(cafile=str(authority.file)))
    lines = head % len(body) if head else head
    async with serving(raw(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n" + body)) as server:
        port = int(server.base_url.rpartition(":")[2])
        with tls_before(port, authority.server("provider", "127.0.0.1")) as door:
            connections = Connections(f"https://127.0.0.1:{door.port}/v1", {})
            for _ in range(5):
                async with await connections.post(b"{}", {}, 5.0) as answer:
                    assert await answer.read() == body
            assert connections.idle == 0


async def test_who_connects_at_the_same_time_asks_for_the_address_once_and_anew_after_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop, asked = asyncio.get_running_loop(), list[str]()
    look_up = loop.getaddrinfo

    async def counted(host: str, *arguments: Any, **options: Any) -> Any:
        asked.append(host)
        if len(asked) == 1:
            raise socket.gaierror(socket.EAI_AGAIN, "later")
        return await look_up(host, *arguments, **options)

    async with serving(whole(BODY)) as server:
        connections = Connections(server.base_url.replace("127.0.0.1", "localhost"), {})
        monkeypatch.setattr(loop, "getaddrinfo", counted)
        with pytest.raises(httpx2.ConnectError):
            await said(connections)
        assert await asyncio.gather(*(said(connections) for _ in range(8))) == [BODY] * 8
        await connections.close()

    assert asked == ["localhost", "localhost"]
    assert server.connections == 8


async def test_a_connection_that_has_ended_keeps_nothing_of_it_alive() -> None:
    """The collector runs rarely where there are many calls."""
    async with facing(raw(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 15\r\n\r\n" + BODY)) as (
        connections,
        _,
    ):
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                await said(connections)
            await until(lambda: not any(isinstance(each, Connection) for each in gc.get_objects()))
        finally:
            gc.enable()

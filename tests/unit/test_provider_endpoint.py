"""What is asked of the SDK once, what of every question, and how much of an answer is taken."""

import asyncio
from collections.abc import Mapping

import httpx2
import pytest
from multidict import CIMultiDict

from schemas.base import JsonValue, load_json
from schemas.prompt import Prompt, UserMessage
from streams.providers import length
from streams.providers.call import Call
from streams.providers.clock import SYSTEM_CLOCK
from streams.providers.endpoint import Endpoint
from streams.providers.errors import openai_error
from streams.providers.http import Answer
from streams.providers.length import AnswerPacked, AnswerTooLong
from streams.providers.openai_transcript import Transcript
from streams.providers.protocol import Question

pytestmark = pytest.mark.asyncio

REQUEST = httpx2.Request(
    "POST",
    "https://api.example.com/v1/ask",
    headers={"Authorization": "Bearer k", "X-Stainless-Read-Timeout": "600", "X-Stainless-Lang": "python"},
    json={},
)


class Wire:
    """Where everything that is sent ends up."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, dict[str, str]]] = []
        self.sent: list[tuple[bytes, dict[str, str]]] = []
        self.closed = False

    def open(self, url: str, headers: Mapping[str, str]) -> "Wire":
        self.opened.append((url, {name.lower(): value for name, value in headers.items()}))
        return self

    async def post(self, body: bytes, headers: Mapping[str, str], connect_s: float) -> Answer:
        assert connect_s > 0
        self.sent.append((body, dict(headers)))
        return answer(b"{}")

    async def close(self) -> None:
        self.closed = True


class Pieces:
    def __init__(self, *pieces: bytes) -> None:
        self._pieces = iter(pieces)
        self.taken = 0
        self.released = False

    async def readany(self) -> bytes:
        self.taken += 1
        return next(self._pieces, b"")

    def release(self) -> None:
        self.released = True


def answer(*pieces: bytes, status: int = 200, **headers: str) -> Answer:
    body = Pieces(*pieces)
    named = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    return Answer(status, named, body, body.release)


def call(attempt_id: str = "a-1") -> Call:
    prompt = Prompt(messages=(UserMessage(role="user", content="Hi."),))
    return Call(
        Question(attempt_id, "m", prompt, stream=False, timeout_ms=60_000), Transcript(), SYSTEM_CLOCK, openai_error
    )


class Rehearsals:
    """Counts them, and holds each until it is let go."""

    def __init__(self) -> None:
        self.begun = 0
        self.let_go = asyncio.Event()

    async def __call__(self) -> httpx2.Response:
        self.begun += 1
        await self.let_go.wait()
        return httpx2.Response(200, request=REQUEST)


async def test_the_sdk_is_asked_once_however_many_questions_begin_together() -> None:
    wire, rehearse = Wire(), Rehearsals()
    endpoint = Endpoint(rehearse, wire.open)
    asking = [asyncio.create_task(endpoint.post({"n": n}, call(f"a-{n}"))) for n in range(3)]

    rehearse.let_go.set()
    await asyncio.gather(*asking)
    await endpoint.post({"n": 3}, call("a-3"))

    assert rehearse.begun == 1
    assert wire.opened == [
        (
            "https://api.example.com/v1/ask",
            {"authorization": "Bearer k", "x-stainless-lang": "python", "content-type": "application/json"},
        )
    ]
    assert sorted(wire.sent, key=lambda sent: sent[0]) == [
        (b'{"n":%d}' % n, {"X-Client-Request-Id": f"a-{n}"}) for n in range(4)
    ]


async def test_a_question_that_is_cancelled_while_the_sdk_is_asked_leaves_that_to_the_next() -> None:
    wire, rehearse = Wire(), Rehearsals()
    endpoint = Endpoint(rehearse, wire.open)
    first, second = (asyncio.create_task(endpoint.post({}, call())) for _ in range(2))
    await asyncio.wait([first], timeout=0)

    first.cancel()
    rehearse.let_go.set()
    await second

    assert len(wire.sent) == 1


async def test_what_is_nested_deeper_than_the_fast_writer_goes_is_written_all_the_same() -> None:
    wire, rehearse = Wire(), Rehearsals()
    rehearse.let_go.set()
    deep: JsonValue = "thymé"
    for _ in range(300):
        deep = [deep]

    await Endpoint(rehearse, wire.open).post({"deep": deep}, call())

    assert load_json(wire.sent[0][0]) == {"deep": deep}


async def test_an_endpoint_that_was_never_asked_has_nothing_to_close() -> None:
    wire = Wire()

    await Endpoint(Rehearsals(), wire.open).close()

    assert not wire.closed


async def test_an_answer_is_read_up_to_its_limit_and_not_one_piece_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(length, "WHOLE_BYTES", 4)
    body = Pieces(b"123", b"45", b"6")

    with pytest.raises(AnswerTooLong):
        async with Answer(200, {}, body, body.release) as received:
            await received.read()

    assert body.taken == 2
    assert body.released


async def test_nothing_of_a_packed_answer_is_read() -> None:
    body = Pieces(b"123")

    with pytest.raises(AnswerPacked):
        await Answer(400, CIMultiDict({"Content-Encoding": "GZip"}), body, body.release).said()

    assert body.taken == 0


async def test_an_error_is_said_in_json_or_in_whatever_else_it_is() -> None:
    assert await answer(b'{"error"', b":{}}", status=400).said() == {"error": {}}
    assert await answer(b"<html>\xff", status=502).said() == "<html>\ufffd"


async def test_a_header_that_is_no_utf8_can_be_written_down_and_given_to_the_sdk() -> None:
    received = answer(request_id=b"req_\xff".decode(errors="surrogateescape"))

    assert received.header("Request-Id") == "req_\ufffd"
    assert received.header("other") is None
    assert received.as_response(REQUEST).headers.raw == [(b"request-id", b"req_\xff")]

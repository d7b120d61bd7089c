"""The HTTP door: reads a request in full, waits for its turn, answers it in full or with ClickHouse's error."""

import asyncio
import time
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from sinks.embedded.admission import BodyBudget, BodyShare, Lane
from sinks.embedded.answer import SERVER_NAME, Answer, build_answer, common_headers
from sinks.embedded.configuration import Limits
from sinks.embedded.credentials import Credentials, refusal
from sinks.embedded.engine import Engine, EngineFacts
from sinks.embedded.errors import ClickHouseError
from sinks.embedded.job import Job
from sinks.embedded.request import QueryRequest, read_request

_PIECE_BYTES = 1 << 20


class Door:
    """The handlers of one engine."""

    def __init__(self, engine: Engine, facts: EngineFacts, limits: Limits, login: Credentials) -> None:
        self._engine = engine
        self._facts = facts
        self._login = login
        self._reads = Lane(limits.reads_at_once, limits.waiting, limits.wait_s)
        self._writes = Lane(limits.writes_at_once, limits.waiting, limits.wait_s)
        self._bodies = BodyBudget(limits.body_bytes, limits.all_bodies_bytes)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/", self._query, methods=["GET", "POST", "PUT"]),
                Route("/ping", _ok),
                Route("/replicas_status", _ok),
                Route("/{path:path}", _nothing_here, methods=["GET", "POST", "PUT"]),
            ],
            exception_handlers={Exception: self._broken},
        )

    async def _query(self, http: Request) -> Response:
        if http.method in ("GET", "HEAD") and not http.url.query:
            return _ok(http)
        try:
            request = read_request(http.method, http.url.query, http.headers)
            headers = common_headers(request)
        except ClickHouseError as error:
            return self._failure(error, {})
        try:
            return await self._answer(http, request)
        except ClickHouseError as error:
            return self._failure(error, headers)
        except ClientDisconnect:
            return Response()

    async def _answer(self, http: Request, request: QueryRequest) -> Response:
        if not self._login.admits(request.credentials):
            raise refusal(request.credentials.user)
        with self._bodies.holder() as share:
            body = await _whole_body(http, share)
            answer = await self._in_turn(http, await self._engine.understand(request, body))
        if len(answer.body) <= _PIECE_BYTES:
            return Response(bytes(answer.body), headers=answer.headers)
        return StreamingResponse(_pieces(answer), headers=answer.headers)

    async def _in_turn(self, http: Request, job: Job) -> Answer:
        gone = asyncio.ensure_future(_disconnected(http))
        try:
            async with (self._reads if job.reads else self._writes).place():
                if gone.done() and job.reads:
                    raise ClientDisconnect
                return await self._run(job, gone)
        finally:
            gone.cancel()

    async def _run(self, job: Job, gone: asyncio.Future[None]) -> Answer:
        """A read whose client has gone is cancelled; a write is finished, as on a server."""
        started_ns = time.monotonic_ns()
        running = asyncio.ensure_future(
            self._engine.run(
                job,
                lambda outcome: build_answer(job, outcome, time.monotonic_ns() - started_ns, self._facts.formats),
            )
        )
        await asyncio.wait({running, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done() and job.reads:
            await self._engine.cancel(job.request.query_id)
        return await running

    def _broken(self, _: Request, error: Exception) -> Response:
        """For what was not foreseen: the client gets an answer, and the log the traceback, from uvicorn."""
        kind = type(error).__name__
        return self._failure(ClickHouseError(1002, "UNKNOWN_EXCEPTION", f"The embedded server failed: {kind}."), {})

    def _failure(self, error: ClickHouseError, headers: dict[str, str]) -> Response:
        return PlainTextResponse(
            error.render(self._facts.version),
            status_code=error.status,
            headers={"X-ClickHouse-Server-Display-Name": SERVER_NAME}
            | headers
            | {"X-ClickHouse-Exception-Code": str(error.code)},
        )


async def _whole_body(http: Request, share: BodyShare) -> bytes:
    """Refused by what is announced, before it is sent, or else as soon as it is too much."""
    share.take(int(http.headers.get("content-length", "0")))
    pieces: list[bytes] = []
    received = 0
    async for piece in http.stream():
        pieces.append(piece)
        received += len(piece)
        share.take(max(0, received - share.held))
    return b"".join(pieces)


async def _disconnected(http: Request) -> None:
    """Ends when the client has gone: nothing else is received once a body is read."""
    while (await http.receive())["type"] != "http.disconnect":
        pass


async def _pieces(answer: Answer) -> AsyncIterator[bytes]:
    for start in range(0, len(answer.body), _PIECE_BYTES):
        yield bytes(answer.body[start : start + _PIECE_BYTES])


def _ok(_: Request) -> Response:
    return PlainTextResponse("Ok.\n", headers={"X-ClickHouse-Server-Display-Name": SERVER_NAME})


def _nothing_here(http: Request) -> Response:
    return PlainTextResponse(
        f"There is no handle {http.url.path}. The embedded engine has no web pages: send queries to /, for example with"
        " clickhouse-connect or curl, or use /ping for health checks.\n",
        status_code=404,
    )

"""The shell around one endpoint: reads a request, waits as long as it takes, answers or fails, and charges.

The charge is booked before the last byte leaves, so whoever has the answer finds it on the bill.
"""

import time
from typing import assert_never, cast

from starlette.types import Receive, Scope, Send

from scripts.simulator import refusals
from scripts.simulator.admission import Call, Denied, admit
from scripts.simulator.bill import Ending
from scripts.simulator.dialect import Dialect, HeaderList, Headers
from scripts.simulator.faults import Cut, Flaw, Hang, Late, Malformed, Slow
from scripts.simulator.state import State
from scripts.simulator.wire import MOST_BODY_BYTES, BodyTooLarge, ClientGone, Wire, json_headers

# Tokens due within so short a time travel together: thousands of streams would otherwise wake the loop for each one.
_FLUSH_S = 0.01
_FLUSH_BYTES = 16_384
# The end of a frame that makes its JSON whole.
_FRAME_TAIL_BYTES = 8
_EVENT_STREAM: HeaderList = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]


class Exchange:
    """An ASGI application for one endpoint."""

    def __init__(self, dialect: Dialect, state: State) -> None:
        self._dialect = dialect
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wire = Wire(receive, send)
        headers = dict(cast("HeaderList", scope["headers"]))
        request_id = f"req_{self._state.serial()}"
        self._state.stats.enter(self._dialect.endpoint)
        try:
            call = await self._admitted(headers, wire, request_id)
            match call:
                case Denied(refusal, extra):
                    self._state.stats.statuses[refusal.status] += 1
                    await wire.json(refusal.status, extra, self._dialect.error(refusal, request_id))
                case Call():
                    await self._answer(call, wire)
                case _:
                    assert_never(call)
        except ClientGone:
            pass  # half a request asks for nothing
        finally:
            self._state.stats.leave()

    async def _admitted(self, headers: Headers, wire: Wire, request_id: str) -> Call | Denied:
        try:
            raw = await wire.body()
        except BodyTooLarge:
            return Denied(refusals.too_large(MOST_BODY_BYTES), self._dialect.headers(request_id))
        return admit(self._dialect, self._state, headers, raw, request_id)

    async def _answer(self, call: Call, wire: Wire) -> None:
        match call.fault:
            case Hang():
                await wire.gone()
            case Late():
                await wire.gone()
                self._charge_broken(call, call.reply.usage.generated)
            case Cut() | Malformed() | Slow() | None as flaw:
                self._state.stats.statuses[200] += 1
                await (self._stream if call.reply.ask.stream else self._whole)(call, flaw, wire)
            case _:
                assert_never(call.fault)

    async def _whole(self, call: Call, flaw: Flaw | None, wire: Wire) -> None:
        started_s = time.monotonic()
        if await wire.gone_within(call.pace.whole_s):
            share = min(1.0, (time.monotonic() - started_s) / call.pace.whole_s)
            self._charge_broken(call, int(call.reply.usage.generated * share))
            return
        body = self._dialect.whole(call.reply)
        match flaw:
            case Cut():
                # All of it was generated; that half of it gets lost on the way does not make it cheaper.
                self._charge(call, "cut")
                await wire.start(200, [*call.headers, *json_headers(body)])
                await wire.write(body[: len(body) // 2])
            case Malformed():
                self._charge(call, "complete")
                await wire.json(200, call.headers, body[: len(body) // 2])
            case Slow() | None:
                self._charge(call, "complete")
                await wire.json(200, call.headers, body)
            case _:
                assert_never(flaw)

    async def _stream(self, call: Call, flaw: Flaw | None, wire: Wire) -> None:
        limit = _breaks_after(flaw, call)
        sent = 0
        waiting = bytearray()
        started_s = time.monotonic()
        due_s = started_s + call.pace.first_s
        await wire.start(200, [*call.headers, *_EVENT_STREAM])
        for frame in self._dialect.frames(call.reply):
            if limit is not None and sent >= limit:
                self._charge(call, "cut", call.reply.usage.reasoning + sent)
                await self._break_off(call, flaw, wire, bytes(waiting), frame.data)
                return
            early_s = due_s - time.monotonic()
            if early_s > _FLUSH_S or len(waiting) > _FLUSH_BYTES:
                await wire.write(bytes(waiting))
                waiting.clear()
                if await wire.gone_within(early_s):
                    self._charge_broken(call, _generated(call, sent, time.monotonic() - started_s))
                    return
            waiting += frame.data
            sent += frame.tokens
            due_s += frame.tokens * call.pace.token_s
        self._charge(call, "complete")
        await wire.end(bytes(waiting))

    async def _break_off(self, call: Call, flaw: Flaw | None, wire: Wire, rest: bytes, frame: bytes) -> None:
        """Ends a stream the way its flaw says: after what is yet to be sent, before the frame that was to follow."""
        match flaw:
            case Cut(reported=True):
                await wire.end(rest + self._dialect.error_event(refusals.broken(), call.request_id))
            case Malformed():
                await wire.end(rest + frame[:-_FRAME_TAIL_BYTES] + b"\n\n")
            case Cut() | Slow() | None:
                await wire.write(rest)
            case _:
                assert_never(flaw)

    def _charge_broken(self, call: Call, generated: int) -> None:
        """The connection is gone: the client left, or the simulator is being stopped, which cuts the call off."""
        self._charge(call, "cut" if self._state.stopping else "abandoned", generated)

    def _charge(self, call: Call, ending: Ending, generated: int | None = None) -> None:
        if self._dialect.billed:
            self._state.bill.charge(call.charge(ending, generated))


def _breaks_after(flaw: Flaw | None, call: Call) -> int | None:
    """After how many visible tokens a stream breaks; None when it does not."""
    output = call.reply.answer.output
    match flaw:
        case Cut(after_tokens=after):
            return output // 2 if after is None else min(after, output)
        case Malformed():
            return output // 2
        case Slow() | None:
            return None
        case _:
            assert_never(flaw)


def _generated(call: Call, sent: int, elapsed_s: float) -> int:
    """All tokens generated so far; until the first visible one, the part of the thinking that time allowed."""
    thinking = call.reply.usage.reasoning
    if not sent and elapsed_s < call.pace.first_s:
        return int(thinking * elapsed_s / call.pace.first_s)
    return thinking + sent

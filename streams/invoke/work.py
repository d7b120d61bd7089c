"""One event's way from a dispatched request to a completion that is safe on its topic.

Promises: no call for a request that is completed or in flight here; what cannot be handled is kept in the dead letters
and its requester, where one can be made out, is told.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from aiokafka.errors import KafkaError
from pydantic import ValidationError

from schemas.call import CallRow
from schemas.flow import Completion, Dispatch
from schemas.response import Failure
from schemas.topics import CALLS
from streams.invoke.caller import Aside, Caller
from streams.invoke.finished import Finished
from streams.invoke.outbox import AsyncOutbox
from streams.observe.logs import logger
from streams.observe.metrics import Metrics
from streams.runtime.deadletter import dead_letter_headers
from streams.runtime.delivery import Delivery
from streams.runtime.envelope import seal
from streams.runtime.outcome import DeadLetter, Record
from streams.runtime.stage import Requester, completion_record, requester_of
from streams.settings import KafkaSettings

log = logger(__name__)
STAGE = "invoke"


class Work:
    """`finished` is replaced whenever it has been learned anew."""

    def __init__(
        self, outbox: AsyncOutbox, caller: Caller, kafka: KafkaSettings, now_ms: Callable[[], int], metrics: Metrics
    ) -> None:
        self.finished = Finished()
        self._outbox = outbox
        self._caller = caller
        self._kafka = kafka
        self._now_ms = now_ms
        self._metrics = metrics
        self._calling: dict[str, asyncio.Task[None]] = {}
        self._writing = 0
        self._written = False

    def moves(self) -> bool:
        """Whether anything was written since the last time, or nothing is being written. A call that waits for its
        provider is bounded by its plan: what may stand still is what we write.
        """
        moves = self._written or not self._writing
        self._written = False
        return moves

    async def do(self, delivery: Delivery, aside: Aside) -> None:
        """Returns when the event's completion is safe. Raises only what must stop the worker: the broker's refusal."""
        try:
            dispatch = Dispatch.decode(delivery.value or b"")
        except ValidationError as problem:
            await self._give_up(delivery, "unreadable", problem)
            return
        identity = dispatch.ticket.identity
        while (twin := self._calling.get(identity)) is not None:
            with aside():
                await asyncio.wait([twin])
        if identity in self.finished:
            ids = _ids(Requester(dispatch.ticket))
            log.info("absorbed", reason="completed before", topic=delivery.topic, offset=delivery.offset, **ids)
            self._metrics.count("millrace_events_total", STAGE, "absorb")
            return
        self._calling[identity] = cast("asyncio.Task[None]", asyncio.current_task())
        try:
            await self._complete(delivery, dispatch, aside)
        except (KafkaError, asyncio.CancelledError):
            raise
        except Exception as problem:  # noqa: BLE001  # a bug costs its own event, never the partition
            await self._give_up(delivery, "decision_failed", problem)
        finally:
            self._calling.pop(identity, None)

    async def _complete(self, delivery: Delivery, dispatch: Dispatch, aside: Aside) -> None:
        async def book(row: CallRow) -> None:
            first = 2 * row.attempt_no + (row.phase != "started")
            await self._write(delivery, (Record(CALLS, row.tenant_id, row),), first=first)

        await self._finish(delivery, await self._caller.complete(dispatch, book, aside))

    async def _finish(self, delivery: Delivery, completion: Completion) -> None:
        await self._write(delivery, (completion_record(completion),))
        self.finished.add(completion, self._now_ms())
        self._metrics.count("millrace_events_total", STAGE, completion.status)

    async def _give_up(self, delivery: Delivery, reason: str, problem: Exception) -> None:
        requester = requester_of(delivery)
        log.error(
            "gave_up",
            reason=reason,
            problem=type(problem).__name__,
            topic=delivery.topic,
            partition=delivery.partition,
            offset=delivery.offset,
            **_ids(requester),
        )
        self._metrics.count("millrace_dead_letters_total", STAGE, reason)
        letter = DeadLetter(reason, type(problem).__name__)
        await self._outbox.write_dead_letter(delivery, dead_letter_headers(delivery, STAGE, letter, self._now_ms()))
        if requester is not None:
            failure = Failure(
                code="internal_error",
                message="The request could not be handled. It is kept; ask the operator, or send it under a new id.",
            )
            told = Completion(ticket=requester.ticket, slot=requester.slot, status="failed", failure=failure)
            await self._finish(delivery, told)

    async def _write(self, delivery: Delivery, records: tuple[Record, ...], *, first: int = 0) -> None:
        envelopes = seal(records, delivery, self._kafka, STAGE, self._now_ms(), first=first)
        self._writing += 1
        try:
            await self._outbox.write(envelopes)
        finally:
            self._writing -= 1
        self._written = True


def _ids(requester: Requester | None) -> dict[str, str | None]:
    """For the log: whose event it is, where that can be made out."""
    if requester is None:
        return {}
    return {"request_id": requester.ticket.request_id, "tenant": requester.ticket.tenant_id}

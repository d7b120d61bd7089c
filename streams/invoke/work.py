"""One event's way from a dispatched request to a completion that is safe on its topic.

Promises: no call for a round that is completed or in flight, here or at a worker that handed it over; what cannot be
handled is kept in the dead letters and its requester, where one can be made out, is told.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import cast

from aiokafka.errors import KafkaError

from schemas.call import CallRow
from schemas.flow import Completion, Dispatch, HandedOver
from schemas.response import Failure
from schemas.topics import CALLS, HANDOVERS
from schemas.wire import DecodeError
from streams.invoke.beside import ANOTHERS_CALL, Aside, SetBackError
from streams.invoke.caller import Caller
from streams.invoke.calling import ALLOWANCE_MS, Calling
from streams.invoke.others import Others
from streams.invoke.outbox import AsyncOutbox
from streams.invoke.pulse import Pulse
from streams.observe.logs import logger
from streams.observe.metrics import Metrics
from streams.providers.protocol import NotSent
from streams.runtime.deadletter import dead_letter_headers
from streams.runtime.delivery import Delivery
from streams.runtime.envelope import Envelope, OversizedRecordError, seal
from streams.runtime.outcome import DeadLetter, Reason, Record
from streams.runtime.spill import Spill
from streams.runtime.stage import Requester, completion_record, requester_of
from streams.settings import KafkaSettings

log = logger(__name__)
STAGE = "invoke"
_FIRST_HANDOVER = 64
"""Numbers of an event's records: 0 its completion, then two for each attempt, then what is told to other workers."""


class VoidError(Exception):
    """Somebody else calls for this request by now."""


class Work:
    """`pulse` is looked at before a call is begun: whoever it tells of a loss has told `lose` by then."""

    def __init__(
        self,
        outbox: AsyncOutbox,
        caller: Caller,
        others: Others,
        kafka: KafkaSettings,
        now_ms: Callable[[], int],
        metrics: Metrics,
        pulse: Pulse,
        spill: Spill,
    ) -> None:
        self._outbox = outbox
        self._caller = caller
        self._others = others
        self._kafka = kafka
        self._now_ms = now_ms
        self._metrics = metrics
        self._pulse = pulse
        self._spill = spill
        self._calling: dict[str, Calling] = {}
        self._handing = asyncio.Lock()
        self._writing = 0
        self._written = False

    def moves(self) -> bool:
        """Whether anything was written since the last time, or nothing is being written. A call that waits for its
        provider is bounded by its plan: what may stand still is what we write.
        """
        moves = self._written or not self._writing
        self._written = False
        return moves

    @property
    def owes_handovers(self) -> bool:
        """Whether new owners of our partitions would learn in time of what we call for, and so must be told."""
        return any(calling.handed_until_ms is None and not calling.lost for calling in self._calling.values())

    def calling(self) -> Collection[asyncio.Task[bool]]:
        return {calling.task for calling in self._calling.values()}

    async def hand_over(self) -> int:
        """Tells the new owners of our partitions what we still call for; returns how much that is when they can read
        it. For what is lost that may be too late, or just in time. Raises aiokafka's KafkaError when the broker would
        not take it; then, and when cancelled, it is all lost.
        """
        going = [calling for calling in self._calling.values() if calling.handed_until_ms is None]
        for calling in going:
            calling.handed_until_ms = calling.until_ms()
        try:
            async with self._handing:  # whatever one of them has to add comes after this
                envelopes = [each for calling in going for each in self._told(calling, calling.handed_until_ms)]
                await self._outbox.write(envelopes)
        except BaseException:
            for calling in going:
                calling.lost = True
            raise
        return len(going)

    def lose(self) -> None:
        """Our partitions may have gone to others who do not know what we call for, and call for it too."""
        for calling in self._calling.values():
            calling.lost = calling.lost or calling.handed_until_ms is None

    async def do(self, delivery: Delivery, aside: Aside) -> bool:
        """Whether the event is finished: its completion is safe. Otherwise that is another worker's to see to. Raises
        SetBackError, before anything is written, and what must stop this one: the broker's refusal, or SpilledError.
        """
        try:
            dispatch = Dispatch.decode(delivery.value or b"")
        except DecodeError as problem:
            await self._give_up(delivery, "unreadable", problem)
            return True
        name = dispatch.round_name
        if await self._is_completed(dispatch, aside):
            ids = _ids(Requester(dispatch.ticket))
            log.info("absorbed", reason="completed before", topic=delivery.topic, offset=delivery.offset, **ids)
            self._metrics.count("millrace_events_total", STAGE, "absorb")
            self._spill.finished(delivery.topic)
            return True
        task = cast("asyncio.Task[bool]", asyncio.current_task())
        calling = self._calling[name] = Calling(delivery, dispatch, task, self._now_ms())
        try:
            await self._complete(calling, aside)
        except VoidError:
            return await self._leave_to_others(calling)
        except asyncio.CancelledError:
            if not calling.ended:  # or whoever reads this before the completion would call again
                await self._tell_stopped(calling)
            raise
        except (KafkaError, SetBackError):
            raise
        except DecodeError as problem:
            await self._give_up(delivery, "unreadable", problem)
        except Exception as problem:  # noqa: BLE001  # a bug costs its own event, never the partition
            if self._is_void(calling):
                return await self._leave_to_others(calling, type(problem).__name__)
            await self._give_up(delivery, "decision_failed", problem)
        finally:
            self._calling.pop(name, None)
        return True

    async def _is_completed(self, dispatch: Dispatch, aside: Aside) -> bool:
        """When it is, or when nobody is calling for it any more."""
        name = dispatch.round_name
        finished, elsewhere = self._others.finished, self._others.elsewhere
        while name not in finished:
            if (twin := self._calling.get(name)) is not None:
                with aside(ANOTHERS_CALL):
                    await asyncio.wait([twin.task])
            elif name in elsewhere:
                with aside(ANOTHERS_CALL):
                    await elsewhere.over(name, dispatch.plan.timeout_ms + ALLOWANCE_MS)
            else:
                return False
        return True

    async def _complete(self, calling: Calling, aside: Aside) -> None:
        async def book(row: CallRow) -> None:
            if row.phase != "started":
                await self._write(calling.delivery, _row(row), first=2 * row.attempt_no + 1)
                return
            if self._is_void(calling):
                raise VoidError
            calling.attempt_no, calling.attempt_since_ms = row.attempt_no, self._now_ms()
            if calling.handed_until_ms is not None:
                await self._tell(calling, calling.until_ms())
            await self._write(calling.delivery, _row(row), first=2 * row.attempt_no)
            calling.attempt_since_ms = self._now_ms()  # the call has its whole time yet
            if self._is_void(calling):
                raise NotSent("interrupted", "The worker was cut off before it could ask; another asks in its place.")

        completion = await self._caller.complete(calling.dispatch, book, aside)
        if completion.failure is not None and self._is_void(calling):
            for attempt in completion.attempts[-1:]:  # whoever calls now has its own to tell; this one is booked alone
                await book(self._caller.settled_row(calling.dispatch, attempt))
            raise VoidError
        calling.ended = True
        await self._finish(calling.delivery, completion)

    def _is_void(self, calling: Calling) -> bool:
        self._pulse.check()
        return calling.is_void(self._now_ms())

    async def _leave_to_others(self, calling: Calling, problem: str | None = None) -> bool:
        ids = _ids(Requester(calling.dispatch.ticket))
        log.warning("call_void", attempt_no=calling.attempt_no, problem=problem, **ids)
        await self._tell_stopped(calling)
        return False

    async def _tell_stopped(self, calling: Calling) -> None:
        if calling.handed_until_ms is not None:
            await self._tell(calling, None)

    async def _tell(self, calling: Calling, until_ms: int | None) -> None:
        async with self._handing:  # after what is being said of it
            calling.handed_until_ms = until_ms or calling.handed_until_ms
        await self._outbox.write(self._told(calling, until_ms))

    def _told(self, calling: Calling, until_ms: int | None) -> list[Envelope]:
        ticket = calling.dispatch.ticket
        told = HandedOver(identity=calling.dispatch.round_name, worker=self._others.me, until_ms=until_ms)
        record = Record(HANDOVERS, ticket.request_id, told)
        number = _FIRST_HANDOVER + 2 * calling.attempt_no + (until_ms is None)
        return seal((record,), calling.delivery, self._kafka, STAGE, self._now_ms(), first=number)

    async def _finish(self, delivery: Delivery, completion: Completion) -> None:
        await self._write(delivery, (completion_record(completion),))
        self._others.finished.add(completion.round_name, self._now_ms())
        self._metrics.count("millrace_events_total", STAGE, completion.status)
        self._spill.finished(delivery.topic)

    async def _give_up(self, delivery: Delivery, reason: Reason, problem: Exception) -> None:
        if not isinstance(problem, OversizedRecordError):  # however large its answer, and its question
            self._spill.burying(delivery.topic, reason, type(problem).__name__)
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
        letter = DeadLetter(reason, type(problem).__name__, is_told=requester is not None)
        await self._outbox.write_dead_letter(delivery, dead_letter_headers(delivery, STAGE, letter, self._now_ms()))
        if requester is not None:
            failure = Failure(
                code="internal_error",
                message="The request could not be handled. It is kept; ask the operator, or send it under a new id.",
            )
            told = Completion(
                ticket=requester.ticket, slot=requester.slot, round=requester.round, status="failed", failure=failure
            )
            await self._finish(delivery, told)
        else:
            self._spill.finished(delivery.topic)

    async def _write(self, delivery: Delivery, records: tuple[Record, ...], *, first: int = 0) -> None:
        envelopes = seal(records, delivery, self._kafka, STAGE, self._now_ms(), first=first)
        self._writing += 1
        try:
            await self._outbox.write(envelopes)
        finally:
            self._writing -= 1
        self._written = True


def _row(row: CallRow) -> tuple[Record, ...]:
    return (Record(CALLS, row.tenant_id, row),)


def _ids(requester: Requester | None) -> dict[str, str | None]:
    """For the log: whose event it is, where that can be made out."""
    if requester is None:
        return {}
    return {"request_id": requester.ticket.request_id, "tenant": requester.ticket.tenant_id}

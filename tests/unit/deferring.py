"""The limit stage with requests that wait, without Kafka: what is written where, and what a crash leaves of it."""

from dataclasses import dataclass, field
from typing import Any

from schemas.account import Registration
from schemas.base import Event
from schemas.call import CallRow
from schemas.control import Limits
from schemas.flow import Admitted, Completion, Deferred
from schemas.notice import Notice
from schemas.response import Failure
from schemas.topics import ACCOUNTS, CALLS, DEFERRED, VALIDATED, Topic
from schemas.usage import Usage
from streams.control import ControlView
from streams.cost.ledger import attempt_row
from streams.runtime.outcome import Absorb, DeadLetter, Finish, Forward, Park, Record
from streams.runtime.partition import Parked, PartitionWork
from streams.runtime.stage import View
from streams.stages.limit import decide
from streams.state.accounts import Accounts
from tests.unit.examples import NOW_MS, accepted, attempt, control, delivery, plan, tenant, ticket

NAMES = {VALIDATED.name, DEFERRED.name, CALLS.name}


class CrashError(Exception):
    """The process is gone."""


@dataclass
class Stand:
    """One partition. `logs` is what the broker has; the rest is the process's and goes with it."""

    control: ControlView
    now_ms: int = NOW_MS
    logs: dict[str, list[tuple[int, Any]]] = field(default_factory=dict[str, list[tuple[int, Any]]])
    changelog: list[Event] = field(default_factory=list[Event])
    ended: dict[str, Completion] = field(default_factory=dict[str, Completion])
    admitted: list[str] = field(default_factory=list[str])
    notices: list[Notice] = field(default_factory=list[Notice])
    committed: dict[str, int] = field(default_factory=dict[str, int])
    crash_after: int | None = None
    """So many more records are written."""
    accounts: type[Accounts] = Accounts

    def __post_init__(self) -> None:
        self.charged_ms: dict[str, int] = {}  # by the clock, in order
        self.start()

    def start(self) -> None:
        """Reads back what is known, and everything from what is committed."""
        self.state = self.accounts()
        self.work = PartitionWork(self.state)
        self.crash_after = None
        for change in self.changelog:
            self.state.apply(change, self.now_ms)
        self.position = {name: self.committed.get(name, 0) for name in NAMES}

    def ask(self, name: str, **event: Any) -> None:
        self._append(VALIDATED, accepted(name, **event))

    def _append(self, topic: Topic, event: Event) -> None:
        self.logs.setdefault(topic.name, []).append((self.now_ms, event))

    def settle(self, event: Event) -> None:
        self._append(CALLS, event)

    def take(self, topic: Topic) -> bool:
        """The next event of the topic, if there is one."""
        log, at = self.logs.get(topic.name, []), self.position[topic.name]
        if at >= len(log):
            return False
        self.position[topic.name] += 1
        timestamp_ms, event = log[at]
        self.work.frontier(topic.name).take(at)
        delivered = delivery(event.encode(), topic=topic.name, offset=at, timestamp_ms=timestamp_ms)
        self._decide(Parked(delivered, event, self.now_ms, 0))
        self.release()
        return True

    def take_all(self) -> None:
        while self.take(VALIDATED) or self.take(DEFERRED) or self.take(CALLS):
            pass
        self.release()

    def wait(self, ms: int) -> None:
        """Time goes by, and whoever is due is looked at as the shell does."""
        until_ms = self.now_ms + ms
        while self.now_ms < until_ms:
            self.now_ms = min(self.now_ms + 500, until_ms)
            self.take_all()

    def release(self) -> None:
        held = self.work.due(self.now_ms) + self.work.woken()
        while held:
            for each in held:
                self._decide(each, each.since_ms)
            held = self.work.woken()

    def _decide(self, held: Parked, parked_ms: int | None = None) -> None:
        given = View(self.control, self.state, self.now_ms, held.delivery, parked_ms)
        outcome = decide(held.event, given)
        match outcome:
            case Forward(records):
                self._write(records)
            case Finish(completion, records):
                self._write(records)
                self._spend_a_record()
                self.ended.setdefault(completion.ticket.request_id, completion)
            case Park(on, until_ms):
                since_ms = self.now_ms if parked_ms is None else parked_ms
                self.work.park(on, Parked(held.delivery, held.event, since_ms, until_ms))
                return
            case Absorb():
                pass
            case DeadLetter():
                raise AssertionError(outcome)
        self.work.frontier(held.delivery.topic).finish(held.delivery.offset)

    def _write(self, records: tuple[Record, ...]) -> None:
        """The changelog first, as the stage says."""
        for record in sorted(records, key=lambda each: each.topic is not ACCOUNTS):
            self._spend_a_record()
            match record.event:
                case Admitted():
                    self.admitted.append(record.event.ticket.request_id)
                case Notice():
                    self.notices.append(record.event)
                case Deferred():
                    self._append(record.topic, record.event)
                case _:
                    assert record.topic is ACCOUNTS, record
                    self.changelog.append(record.event)
                    if isinstance(record.event, Registration) and _goes_on(record.event):
                        self.charged_ms[record.event.request_id] = self.now_ms
                    self.work.wake(self.state.apply(record.event, self.now_ms))

    def _spend_a_record(self) -> None:
        if self.crash_after is not None:
            if self.crash_after == 0:
                raise CrashError
            self.crash_after -= 1

    def commit(self) -> None:
        for name, frontier in self.work.frontiers.items():
            if frontier.next_offset is not None:
                self.committed[name] = frontier.next_offset

    @property
    def registered_in(self) -> list[str]:
        """In the order in which they were charged."""
        return list(self.charged_ms)

    @property
    def waiting(self) -> int:
        return len(self.state.waiting)

    @property
    def let_in(self) -> list[str]:
        """In their order, those written again after a crash once."""
        return list(dict.fromkeys(self.admitted))


def _goes_on(change: Registration) -> bool:
    return change.refusal is None and change.deferred_until_ms is None


def deferring(**facts: Any) -> ControlView:
    return control(tenant(on_limit="defer", **facts))


MINUTE_MS = 60_000
ONE_A_MINUTE = Limits(requests_per_minute=1)


def stand(**facts: Any) -> Stand:
    return Stand(deferring(**facts))


def asked(mine: Stand, *names: str, **event: Any) -> Stand:
    for name in names:
        mine.ask(name, **event)
    mine.take_all()
    return mine


def used(name: str, tokens: int) -> CallRow:
    usage = Usage(uncached_input_tokens=tokens)
    return attempt_row(ticket(name), plan(), attempt(attempt_id=f"attempt-{name}"), "priced", usage=usage)


def failure_of(ended: Completion) -> Failure:
    assert ended.failure is not None
    return ended.failure

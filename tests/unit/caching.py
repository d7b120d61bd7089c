"""The cache stage on a table of its own, and the records that it learns from."""

from schemas.cached import CacheRecord, Fill, FlightEnded, FlightStarted, Invalidated
from schemas.flow import Admitted, Completion, Miss, Saved
from schemas.response import Failure, Status
from schemas.topics import CACHE, MISSES
from schemas.usage import Usage
from streams.control import ControlView
from streams.runtime.outcome import Outcome
from streams.stages.cache import decide
from streams.state.kept_answers import KeptAnswers
from tests.unit.examples import (
    NOW_MS,
    answer,
    control,
    delivery,
    finished,
    forwarded,
    on,
    slot_of,
    table_records,
    tenant,
    view,
)


class Cache:
    """The stage and its state, without Kafka: what an outcome writes to the table is applied, as the shell does."""

    def __init__(self, configured: ControlView | None = None, state: KeptAnswers | None = None) -> None:
        self.control = configured or control(tenant("globex"))
        self.state = KeptAnswers() if state is None else state
        self.log: list[CacheRecord] = []

    def take(self, event: Admitted, *, at_ms: int = NOW_MS, parked_ms: int | None = None) -> Outcome:
        asked = delivery(timestamp_ms=at_ms if parked_ms is None else parked_ms)
        seen = view(self.state, control=self.control, now_ms=at_ms, parked_ms=parked_ms, delivery=asked)
        outcome = decide(event, seen)
        for record in table_records(CACHE, outcome):
            assert isinstance(record, Fill | FlightStarted | FlightEnded | Invalidated)
            self.learn(record, at_ms=at_ms)
        return outcome

    def learn(self, record: CacheRecord, *, at_ms: int = NOW_MS) -> list[str]:
        self.log.append(record)
        return list(self.state.apply(record, at_ms))

    def replaced(self, *, at_ms: int = NOW_MS) -> "Cache":
        """A new worker, which knows what is on the topic and nothing else."""
        successor = Cache(self.control)
        for record in self.log:
            successor.learn(type(record).decode(record.encode()), at_ms=at_ms)
        return successor


def led(outcome: Outcome) -> Miss:
    """The question that goes on, with its flight announced."""
    records = forwarded(outcome)
    (asked,) = on(MISSES, records, Miss)
    (flight,) = on(CACHE, records, FlightStarted)
    assert asked.slot is not None
    assert (flight.entry, flight.identity) == (asked.slot.entry, asked.ticket.identity)
    return asked


def fill_for(event: Admitted, *, content: str = "Yes.", expires_at_ms: int = NOW_MS + 3_600_000) -> Fill:
    slot = slot_of(event)
    return Fill(
        namespace=slot.namespace,
        entry=slot.entry,
        answer=answer(content),
        saved=Saved(request_id="r-0", usage=Usage(text_output_tokens=5), cost_usd=None),
        stored_at_ms=NOW_MS,
        expires_at_ms=expires_at_ms,
    )


def end_of(event: Admitted, status: Status = "failed", failure: Failure | None = None) -> FlightEnded:
    slot = slot_of(event)
    return FlightEnded(
        namespace=slot.namespace,
        entry=slot.entry,
        identity=event.ticket.identity,
        status=status,
        failure=failure,
        ended_at_ms=NOW_MS,
    )


def hit(outcome: Outcome) -> Completion:
    completion = finished(outcome)
    assert completion.status == "ok"
    assert completion.answer is not None
    return completion

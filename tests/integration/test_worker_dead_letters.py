"""What cannot be handled is kept byte for byte, its requester is told, and the next event is unaffected."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from schemas.flow import Accepted, Completion, Ticket
from schemas.topics import (
    ACCOUNTS,
    ADMITTED,
    ALERTS,
    BUDGETS,
    CALLS,
    COMPLETIONS,
    DEAD_LETTERS,
    DEFERRED,
    MISSES,
    NOTICES,
    VALIDATED,
)
from streams.clock import now_ms
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import Forward, Outcome, Record
from streams.runtime.spill import SpilledError
from streams.runtime.stage import View
from streams.settings import KafkaSettings
from streams.stages import limit
from tests.fakes.call_rows import call_row
from tests.integration.worker_thread import Bench, Note, passed_on, toy
from tests.unit.examples import KEY, PROMPT_CANARY, accepted, miss

pytestmark = pytest.mark.integration

CREDENTIALS = [("authorization", f"Bearer {KEY}".encode()), ("x-api-key", KEY.encode())]
TRACE = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


@pytest.fixture
def bench(kafka: KafkaSettings) -> Iterator[Bench]:
    with Bench(kafka) as bench:
        bench.configure()
        bench.log.create(MISSES, COMPLETIONS, DEAD_LETTERS)
        yield bench


def ticketed(request_id: str, *, text: str = "") -> bytes:
    """A note that says, as every internal event does, who must be told of its end."""
    note, ticket = Note(id=request_id, text=text), miss(request_id).ticket
    return note.encode()[:-1] + b',"ticket":' + ticket.encode() + b"}"


class TicketedNote(Note):
    ticket: Ticket


def parsed(_topic: object, delivery: Delivery) -> Note:
    return TicketedNote.decode(delivery.value or b"")


def brittle(note: Note, view: View[Any]) -> Outcome:
    match note.text:
        case "raise":
            raise RuntimeError(PROMPT_CANARY)
        case "grow":
            grown = Note(id=note.id, text="x" * COMPLETIONS.max_message_bytes)
            return Forward(
                (Record(COMPLETIONS, "small", Note(id="half an outcome")), Record(COMPLETIONS, "large", grown))
            )
        case _:
            return passed_on(note, view)


@pytest.mark.parametrize(
    ("value", "reason", "problem"),
    [
        (ticketed("r-1", text="raise"), b"decision_failed", b"RuntimeError"),
        (ticketed("r-1", text="grow"), b"decision_failed", b"OversizedRecordError"),
        (ticketed("r-1")[:-1] + b',"unknown":1}', b"unreadable", b"DecodeError"),
    ],
    ids=["a decision that raises", "an outcome too large for its topic", "an event that cannot be read"],
)
def test_what_cannot_be_handled_is_kept_and_its_requester_is_told(
    bench: Bench, value: bytes, reason: bytes, problem: bytes
) -> None:
    written_ms = now_ms() - 1_000
    bench.log.write(MISSES, value, key="r-1", partition=1, headers=[*CREDENTIALS, TRACE], timestamp_ms=written_ms)
    bench.log.write(MISSES, ticketed("r-2"), partition=1)
    bench.log.flush()

    worker = bench.start(toy(brittle, parse=parsed))
    bench.log.await_committed("route", MISSES, {1: 2})
    worker.stop()

    (letter,) = bench.log.read(DEAD_LETTERS)
    headers = dict(letter.headers)
    assert (letter.value, letter.key, letter.partition) == (value, b"r-1", 1)
    assert headers["millrace-stage"] == b"route"
    assert headers["millrace-reason"] == reason
    assert headers["millrace-detail"] == problem
    assert headers["millrace-topic"] == bench.kafka.topic(MISSES).encode()
    assert (headers["millrace-partition"], headers["millrace-offset"]) == (b"1", b"0")
    assert headers["millrace-timestamp-ms"] == str(written_ms).encode()
    assert headers["traceparent"] == TRACE[1]
    assert "authorization" not in headers
    assert KEY.encode() not in b"".join(text or b"" for text in headers.values())
    assert PROMPT_CANARY.encode() not in b"".join(text or b"" for text in headers.values())
    assert headers["millrace-told"] == b"yes"
    assert worker.metric("millrace_dead_letters_total", stage="route", reason=reason.decode()) == 1

    told, following = sorted(bench.log.read(COMPLETIONS), key=lambda record: record.key or b"")
    completion = Completion.decode(told.value or b"")
    assert (completion.ticket.identity, completion.status) == ("acme/r-1", "failed")
    assert completion.failure is not None
    assert completion.failure.code == "internal_error"
    assert following.key == b"r-2"


@pytest.mark.parametrize("value", [b"not json", b'{"id": "no ticket"', b"\xff\xfe", b"", None])
def test_what_names_no_requester_is_kept_and_blocks_nobody(bench: Bench, value: bytes | None) -> None:
    bench.log.write(MISSES, value)
    bench.log.write(MISSES, Note(id="next"))
    bench.log.flush()

    bench.start(toy(passed_on))

    bench.log.await_committed("route", MISSES, {0: 2})
    (letter,) = bench.log.read(DEAD_LETTERS)
    assert (letter.value or b"") == (value or b"")
    assert dict(letter.headers)["millrace-told"] == b"no"
    assert [record.key for record in bench.log.read(COMPLETIONS)] == [b"next"]


def test_a_release_that_can_handle_nothing_stops_and_the_next_takes_what_it_left(bench: Bench) -> None:
    for number in range(30):
        bench.log.write(MISSES, ticketed(f"r-{number}", text="raise"))
    bench.log.flush()

    broken = bench.start(toy(brittle, parse=parsed), spill_letters=12)
    ended = broken.ended()

    assert isinstance(ended, SpilledError)
    assert "route stops: 12 of its last 12 events became dead letters" in str(ended)
    bench.log.await_committed("route", MISSES, {0: 12})
    assert len(bench.log.read(DEAD_LETTERS)) == 12
    bench.start(toy(passed_on, parse=parsed))
    bench.log.await_committed("route", MISSES, {0: 30})
    letters, ends = bench.log.read(DEAD_LETTERS), bench.log.read(COMPLETIONS)
    assert {dict(letter.headers)["millrace-told"] for letter in letters} == {b"yes"}
    assert [len(letters), len(ends)] == [12, 30]
    assert {record.key for record in ends} == {f"r-{number}".encode() for number in range(30)}


def test_a_limit_that_can_let_nobody_in_stops_although_it_takes_every_row_of_those_it_failed(bench: Bench) -> None:
    bench.log.create(VALIDATED, DEFERRED, ADMITTED, CALLS, ACCOUNTS, BUDGETS, ALERTS, NOTICES)

    def broken(event: limit.Asked, view: View[Any]) -> Outcome:
        match event:
            case Accepted():
                raise RuntimeError(PROMPT_CANARY)
            case _:
                return limit.decide(event, view)

    stage = bench.start(replace(limit.STAGE, decide=broken), spill_letters=12)
    for number in range(300):
        bench.log.write(CALLS, call_row(number))
    bench.log.flush()
    bench.log.await_committed("limit", CALLS, {0: 300})
    for number in range(40):
        bench.log.write(VALIDATED, accepted(f"r-{number}"), partition=0)
    bench.log.flush()

    ended = stage.ended()

    assert isinstance(ended, SpilledError)
    assert f"12 of its last 12 events became dead letters, all of {bench.kafka.topic(VALIDATED)}" in str(ended)
    assert bench.log.committed("limit", VALIDATED) == {0: 12}
    assert len(bench.log.read(DEAD_LETTERS)) == 12

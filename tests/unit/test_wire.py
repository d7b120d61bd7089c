"""What stages write is read as strictly as it was promised, and no bytes are quoted or bring a reader down."""

from decimal import Decimal
from typing import Any

import pytest

from schemas.account import Registration
from schemas.base import dump_json, load_json
from schemas.call import CallNews, CallOutline, CallRow
from schemas.flow import Accepted, Admitted, Completion, Dispatch, Miss, Plan, Ticket
from schemas.response import Response
from schemas.topics import VALIDATED
from schemas.usage import Cost
from schemas.wire import DecodeError, InternalEvent
from streams.questions import prompt_of, summarized, summary_of
from tests.fakes.call_rows import call_row
from tests.unit.examples import DIGEST, NOW_MS, accepted, admitted, attempt, completion, miss, plan, prompt, ticket

CANARY = "thyme"


def changed(event: InternalEvent, **fields: Any) -> bytes:
    said = load_json(event.encode())
    assert isinstance(said, dict)
    return dump_json({**said, **fields})


def registration() -> Registration:
    return Registration(tenant_id="acme", user_id=None, request_id="r-1", offset=7, digest=DIGEST, seen_at_ms=NOW_MS)


def test_an_internal_event_ignores_what_a_newer_process_adds() -> None:
    assert Ticket.decode(changed(ticket(), colour="green")) == ticket()


def test_a_response_with_a_field_that_nobody_knows_is_none() -> None:
    with pytest.raises(DecodeError):
        Response.decode(b'{"request_id":"r","colour":"green"}')


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        (ticket(), {"produced_at_ms": -1}),
        (ticket(), {"produced_at_ms": 253_402_300_800_000}),
        (ticket(), {"request_id": "r" * 1025}),
        (ticket(), {"stamps": {"somewhere": NOW_MS}}),
        (ticket(), {"priority": "urgent"}),
        (plan(), {"targets": []}),
        (plan(), {"max_attempts": 11}),
        (plan(), {"timeout_ms": 0}),
        (attempt(), {"attempt_no": 0}),
        (attempt(), {"target_index": -1}),
        (call_row(), {"attempt_no": -1}),
        (call_row(), {"saved_usd": "1234567890.0"}),
        (registration(), {"digest": "no digest"}),
        (Cost(status="priced", total_usd=Decimal(1)), {"total_usd": "0.0000000001"}),
        (Cost(status="priced", total_usd=Decimal(1)), {"total_usd": "NaN"}),
        (Cost(status="priced", total_usd=Decimal(1)), {"total_usd": "1E+9"}),
    ],
    ids=lambda each: "" if isinstance(each, InternalEvent) else str(each)[:40],
)
def test_what_is_out_of_bounds_is_refused_when_it_is_read(event: InternalEvent, fields: dict[str, Any]) -> None:
    assert type(event).decode(changed(event)) == event
    with pytest.raises(DecodeError):
        type(event).decode(changed(event, **fields))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff",
        b'{"kind":"accepted","ticket":{"request_id":"\xff"}}',
        b'{"kind":"accepted","ticket":{"request_id":"\\ud800"}}',
        b'{"kind":"accepted","prompt":' + b"[" * 200_000,
        b'{"kind":"accepted","unknown":' + b"[" * 200_000,
        b'{"kind":"accepted","input_tokens":' + b"9" * 200_000 + b"}",
        b'{"kind":"' + CANARY.encode() + b'"}',
        b'{"kind":"refused","failure":{"' + CANARY.encode() + b'":1}}',
        changed(ticket(), priority=CANARY),
        changed(ticket(), stamps={CANARY: 1}),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_no_bytes_bring_a_reader_down_and_its_complaint_quotes_none_of_them(value: bytes) -> None:
    assert VALIDATED.events is not None
    for decode in (VALIDATED.events.decode, Ticket.decode, Completion.decode, Dispatch.decode, Response.decode):
        with pytest.raises(DecodeError) as refused:
            decode(value)
        assert CANARY not in str(refused.value)
        assert refused.value.__context__ is None


def test_the_place_of_what_is_wrong_is_named() -> None:
    with pytest.raises(DecodeError, match=r"at `\$\.plan\.max_attempts`"):
        Completion.decode(changed(completion(), plan={**_said(plan()), "max_attempts": 0}))


def _said(event: Plan) -> dict[str, Any]:
    said = load_json(event.encode())
    assert isinstance(said, dict)
    return dict(said)


def test_the_outline_of_a_row_says_what_the_row_does() -> None:
    row = call_row()

    outline = CallOutline.decode(row.encode())

    names = set(CallOutline.__struct_fields__) - {"cost"}
    assert {name: getattr(row, name) for name in names} == {name: getattr(outline, name) for name in names}
    assert (row.cost.status, row.cost.total_usd) == (outline.cost.status, outline.cost.total_usd)
    assert CallRow.decode(row.encode()) == row


@pytest.mark.parametrize(
    "row",
    [
        call_row(phase="started"),
        call_row(phase="settled", error_class="timeout"),
        call_row(),
        call_row(attempt_no=0, started_at_ms=None, request_status="rejected", error_class="rate_limited"),
        call_row(cost=Cost(status="unpriced")),
    ],
    ids=["started", "settled", "priced", "unattempted", "unpriced"],
)
def test_what_watch_reads_of_a_row_is_what_the_row_says(row: CallRow) -> None:
    news = CallNews.decode(row.encode())

    assert (news.cost.status, news.cost.total_usd) == (row.cost.status, row.cost.total_usd)
    for name in set(CallNews.__struct_fields__) - {"cost"}:
        assert getattr(news, name) == getattr(row, name), name


def test_a_prompt_travels_as_the_bytes_it_was_written_in() -> None:
    event = Miss.decode(miss().encode())

    assert bytes(event.prompt) == prompt().encode()
    assert prompt_of(event.prompt) == prompt()


def test_what_is_no_prompt_is_told_without_a_word_of_it() -> None:
    event = Dispatch.decode(changed(miss(), plan=_said(plan()), prompt={"messages": CANARY}))

    with pytest.raises(DecodeError) as refused:
        prompt_of(event.prompt)

    assert CANARY not in str(refused.value)
    assert refused.value.__context__ is None


@pytest.mark.parametrize("event", [accepted(), admitted()], ids=["accepted", "admitted"])
def test_an_event_of_a_process_that_made_no_summary_is_summarized_by_who_needs_it(event: Accepted | Admitted) -> None:
    older = type(event).decode(changed(event, summary=None))

    assert older.summary is None
    assert summarized(older) == summarized(event) == summary_of(event.ticket, prompt())


def test_a_kind_is_told_by_its_name() -> None:
    assert VALIDATED.events is not None
    assert isinstance(VALIDATED.events.decode(accepted().encode()), Accepted)
    with pytest.raises(DecodeError):
        VALIDATED.events.decode(changed(accepted(), kind="unheard"))

"""What the audit makes of a history of requests, responses and dead letters."""

import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.flow import Accepted, Ticket
from schemas.prompt import Prompt, UserMessage
from schemas.response import Response, Timings
from schemas.wire import Origin
from scripts.cli.audit_fold import Bounds, Report, asked, buried, fold, replied
from scripts.cli.offsets import Span
from streams.runtime.deadletter import dead_letter_headers
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import DeadLetter, Reason
from tests.unit.examples import carried

NOW_MS = 1_795_219_200_000
OLD_MS = NOW_MS - 3_600_000
PATIENCE_MS = 300_000
REQUESTS = "llm.requests"
WHOLE = Span(0, 100)


def request(
    offset: int, request_id: str, *, tenant: str = "acme", at_ms: int = OLD_MS, deadline_ms: int | None = None
) -> Delivery:
    event = {
        "request_id": request_id,
        "tenant_id": tenant,
        "messages": [{"role": "user", "content": "hi"}],
        "deadline_ms": deadline_ms,
    }
    return raw(offset, json.dumps(event).encode(), at_ms)


def raw(offset: int, value: bytes | None, at_ms: int = OLD_MS) -> Delivery:
    return Delivery(REQUESTS, 0, offset, None, value, (), at_ms)


def response(request_id: str, answers: int, *, tenant: str | None = "acme", offset: int = 0) -> Delivery:
    event = Response(
        request_id=request_id,
        tenant_id=tenant,
        origin=Origin(topic=REQUESTS, partition=0, offset=answers),
        status="ok",
        timings=Timings(total_ms=5, provider_ms=3, added_ms=2, stages={}),
        answered_at_ms=NOW_MS,
        config_version=0,
    )
    return Delivery("llm.responses", 1, offset, request_id.encode(), event.encode(), (), NOW_MS)


def letter(cause: Delivery, reason: Reason, stage: str = "validate") -> Delivery:
    headers = tuple(dead_letter_headers(cause, stage, DeadLetter(reason, "…"), NOW_MS))
    return Delivery("llm.dlq", cause.partition, 0, cause.key, cause.value, headers, NOW_MS)


def validated(origin: int, request_id: str) -> Delivery:
    """What `limit` reads: it no longer is the request's own record, but its ticket says which one that was."""
    ticket = Ticket(
        request_id=request_id,
        tenant_id="acme",
        origin=Origin(topic=REQUESTS, partition=0, offset=origin),
        produced_at_ms=OLD_MS,
    )
    prompt = Prompt(messages=(UserMessage(role="user", content="hi"),))
    event = Accepted(ticket=ticket, prompt=carried(prompt), digest="d", input_tokens=1)
    return Delivery("llm.validated", 3, 70, b"acme", event.encode(), (), OLD_MS)


def audit(
    requests: Iterable[Delivery],
    responses: Iterable[Delivery] = (),
    letters: Iterable[Delivery] = (),
    window: Span = WHOLE,
) -> Report:
    bounds = Bounds(REQUESTS, {0: window}, NOW_MS, PATIENCE_MS)
    return fold(map(asked, requests), map(replied, responses), (buried(each, REQUESTS) for each in letters), bounds)


def identities(found: Iterable[object]) -> list[str]:
    return [getattr(each, "identity", "") for each in found]


def test_requests_that_are_answered_once_are_sound() -> None:
    report = audit([request(0, "a"), request(1, "b")], [response("a", 0), response("b", 1)])
    assert report.is_sound
    assert (report.requests, report.responses, report.open, report.unasked) == (2, 2, (), ())


def test_a_request_without_a_response_is_missing_once_it_is_old() -> None:
    report = audit([request(0, "a"), request(1, "b")], [response("a", 0)])
    assert identities(report.missing) == ["acme/b"]
    assert not report.is_sound


@pytest.mark.parametrize(
    ("at_ms", "deadline_ms", "is_open"),
    [
        (NOW_MS - PATIENCE_MS, None, False),
        (NOW_MS - PATIENCE_MS + 1, None, True),
        (OLD_MS, NOW_MS + 1, True),
        (OLD_MS, NOW_MS, False),
        (NOW_MS - 1_000, NOW_MS - 500, True),
        (NOW_MS + 60_000, None, True),
    ],
)
def test_a_request_is_open_while_it_is_young_or_its_deadline_has_not_passed(
    at_ms: int, deadline_ms: int | None, is_open: bool
) -> None:
    report = audit([request(0, "a", at_ms=at_ms, deadline_ms=deadline_ms)])
    assert (len(report.open), len(report.missing)) == ((1, 0) if is_open else (0, 1))
    assert report.is_sound is is_open


def test_two_responses_under_one_id_are_found_with_their_places() -> None:
    report = audit([request(0, "a")], [response("a", 0, offset=4), response("a", 0, offset=9)])
    assert not report.is_sound
    (twice,) = report.twice
    assert twice.identity == "acme/a"
    assert [place.offset for place in twice.places] == [4, 9]


def test_one_id_of_two_tenants_is_two_requests() -> None:
    history = [request(0, "a"), request(1, "a", tenant="globex")]
    assert audit(history, [response("a", 0), response("a", 1, tenant="globex")]).is_sound
    assert identities(audit(history, [response("a", 0)]).missing) == ["globex/a"]


def test_a_repeated_id_is_covered_by_its_one_response() -> None:
    report = audit([request(0, "a"), request(1, "a"), request(2, "a")], [response("a", 0)])
    assert report.is_sound
    assert report.repeated == 2


def test_an_id_that_is_never_answered_is_missing_once_however_often_it_was_sent() -> None:
    report = audit([request(5, "a"), request(1, "a"), request(9, "a")])
    assert [each.place.offset for each in report.missing] == [1]


def test_a_reused_id_is_covered_by_its_dead_letter_and_its_first_use_is_not() -> None:
    buried_reuse = letter(validated(1, "a"), "request_id_reused", "limit")
    report = audit([request(0, "a"), request(1, "a")], [], [buried_reuse])
    assert [each.place.offset for each in report.missing] == [0]
    assert audit([request(1, "a")], [], [buried_reuse]).is_sound


def test_a_dead_letter_of_another_kind_answers_nobody_who_can_be_named() -> None:
    failed = letter(validated(0, "a"), "decision_failed", "limit")
    assert identities(audit([request(0, "a")], [], [failed]).missing) == ["acme/a"]


def test_two_responses_to_one_record_are_found_though_they_go_under_different_names() -> None:
    report = audit([request(0, "a")], [response("a", 0, tenant=None, offset=4), response("a", 0, offset=9)])
    assert not report.is_sound
    (twice,) = report.twice
    assert [place.offset for place in twice.places] == [4, 9]
    assert twice.identity == "?/llm.requests/0/0 and acme/a"


def test_a_stranger_is_answered_under_the_record_and_not_under_the_name_it_gave() -> None:
    report = audit([request(0, "a"), request(1, "a")], [response("a", 0, tenant=None), response("a", 1)])
    assert report.is_sound
    assert report.twice == ()


def test_the_answer_to_a_stranger_does_not_cover_the_real_request() -> None:
    report = audit([request(0, "a"), request(1, "a")], [response("a", 0, tenant=None)])
    assert [each.place.offset for each in report.missing] == [1]


def test_strangers_who_give_the_same_id_are_each_answered() -> None:
    strangers = [response("a", 0, tenant=None), response("a", 1, tenant=None)]
    assert audit([request(0, "a", tenant="x"), request(1, "a", tenant="x")], strangers).is_sound


UNREADABLE = [None, b"", b"not json", b"\xff\xfe", b"[]", b'{"tenant_id": "acme"}', b'{"request_id": 7}']


@pytest.mark.parametrize("value", UNREADABLE)
def test_a_record_without_a_readable_id_is_covered_by_its_dead_letter(value: bytes | None) -> None:
    record = raw(0, value)
    assert audit([record], [], [letter(record, "no_request_id")]).is_sound
    assert len(audit([record]).missing) == 1


def test_an_invalid_request_with_an_id_needs_its_response_and_not_a_dead_letter() -> None:
    record = raw(0, b'{"request_id": "a", "tenant_id": "acme", "mesages": []}')
    assert audit([record], [response("a", 0)]).is_sound
    assert audit([record], [response("a", 0, tenant=None)]).is_sound
    assert not audit([record], [], [letter(record, "unreadable")]).is_sound


def test_an_id_that_is_too_long_to_be_answered_is_covered_by_its_dead_letter() -> None:
    record = raw(0, json.dumps({"request_id": "x" * 1025}).encode())
    assert audit([record], [], [letter(record, "no_request_id")]).is_sound


def test_a_response_to_a_request_that_is_not_there_is_told() -> None:
    report = audit([request(3, "a")], [response("a", 3), response("ghost", 7)], window=Span(3, 10))
    assert identities(report.unasked) == ["acme/ghost"]


@pytest.mark.parametrize("answers", [2, 10])
def test_a_response_to_a_request_outside_the_window_is_not_judged(answers: int) -> None:
    assert audit([], [response("a", answers)], window=Span(3, 10)).unasked == ()


def test_a_response_that_cannot_be_read_is_counted() -> None:
    broken = Delivery("llm.responses", 0, 0, b"a", b"{}", (), NOW_MS)
    report = audit([request(0, "a")], [broken, response("a", 0)])
    assert (report.unreadable_responses, report.responses) == (1, 1)


def test_dead_letters_are_counted_by_stage_and_reason() -> None:
    records = [raw(0, b""), raw(1, b"x"), raw(2, b"y")]
    letters = [
        letter(records[0], "empty_value"),
        letter(records[1], "no_request_id"),
        letter(records[2], "no_request_id"),
    ]
    report = audit(records, [], letters)
    assert report.dead_letters == {"validate: empty_value": 1, "validate: no_request_id": 2}


def test_a_dead_letter_that_says_nothing_of_itself_covers_nothing() -> None:
    report = audit([raw(0, b"x")], [], [Delivery("llm.dlq", 0, 0, None, b"x", (), NOW_MS)])
    assert len(report.missing) == 1
    assert report.dead_letters == {": ": 1}


@given(st.data())
def test_whatever_is_lost_or_doubled_is_found_in_whatever_order_it_is_read(data: st.DataObject) -> None:
    """Each of some ids is sent one or more times and answered never, once or twice."""
    ids = [f"r{number}" for number in range(data.draw(st.integers(0, 12)))]
    sent: list[Delivery] = []
    answered: list[Delivery] = []
    lost: set[str] = set()
    doubled: set[str] = set()
    for request_id in ids:
        first = len(sent)
        sent += [request(first + n, request_id) for n in range(data.draw(st.integers(1, 3)))]
        count = data.draw(st.integers(0, 2))
        answered += [response(request_id, first, offset=len(answered) + n) for n in range(count)]
        if count == 0:
            lost.add(f"acme/{request_id}")
        if count == 2:
            doubled.add(f"acme/{request_id}")
    report = audit(data.draw(st.permutations(sent)), data.draw(st.permutations(answered)))
    assert set(identities(report.missing)) == lost
    assert {each.identity for each in report.twice} == doubled
    assert report.is_sound is (not lost and not doubled)
    assert (report.requests, report.repeated) == (len(sent), len(sent) - len(ids))

"""One response for each request, every attempt booked, and no money made up or forgotten."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.attempt import Attempt
from schemas.base import Event, JsonObject
from schemas.call import CallRow
from schemas.flow import Completion, Saved
from schemas.money import Price, PricePeriod, Rates
from schemas.response import ErrorCode, Failure, Output, Response, Status
from schemas.topics import CACHE, CALLS, RESPONSES
from schemas.usage import Usage
from streams.control import ControlView, with_object
from streams.runtime.outcome import Absorb, Outcome, Record
from streams.runtime.stage import Requester
from streams.stages.postprocess import STAGE, decide
from streams.state.given_responses import GivenResponses
from tests.unit.examples import (
    NOW_MS,
    PROMPT_CANARY,
    admitted,
    answer,
    attempt,
    completion,
    control,
    failed_attempt,
    on,
    plan,
    records_of,
    slot_of,
    table_records,
    ticket,
    view,
)

CALL_USD = Decimal("0.000013")
"""12 tokens in and 5 out of gpt-5-mini, at 0.25 and 2 USD a million."""
SLOT = slot_of(admitted())
SAVED = Saved(request_id="r-0", usage=Usage(text_output_tokens=5), cost_usd=CALL_USD)
TIMED_OUT: dict[str, Any] = {"error_class": "timeout", "http_status": None, "ambiguous": True}
TURNED_AWAY: dict[str, Any] = {"error_class": "rate_limited", "http_status": 429, "retryable": True}
LATER_MS = NOW_MS + 1_200


class Door:
    """The stage and its state, without Kafka: what an outcome writes to the table is applied, as the shell does."""

    def __init__(self, configured: ControlView | None = None) -> None:
        self.control = configured or control()
        self.state = GivenResponses()
        self.written: list[Record] = []

    def take(self, event: Completion, *, now_ms: int = LATER_MS) -> Outcome:
        outcome = decide(event, view(self.state, control=self.control, now_ms=now_ms))
        self.written += records_of(outcome)
        for record in table_records(RESPONSES, outcome):
            self.state.apply(record, now_ms)
        return outcome

    def replaced(self) -> "Door":
        """A new worker, which knows the responses on the topic and nothing else."""
        successor = Door(self.control)
        for response in self.responses:
            successor.state.apply(Response.decode(response.encode()), LATER_MS)
        successor.written = list(self.written)
        return successor

    @property
    def responses(self) -> list[Response]:
        return on(RESPONSES, self.written, Response)

    @property
    def rows(self) -> dict[str, CallRow]:
        """As ClickHouse has them in the end: of the same attempt the last one written."""
        return {row.attempt_id: row for row in on(CALLS, self.written, CallRow)}

    @property
    def kept(self) -> list[Event]:
        return [record.event for record in self.written if record.topic is CACHE]


def opened(event: Completion, configured: ControlView | None = None) -> Door:
    door = Door(configured)
    door.take(event)
    return door


def only_response(event: Completion, configured: ControlView | None = None) -> Response:
    (response,) = opened(event, configured).responses
    return response


def ended_without_a_call(status: Status = "rejected", code: ErrorCode = "rate_limited", **changes: Any) -> Completion:
    failure = Failure(code=code, message="too soon", field="tenant_id", retryable=True, retry_after_ms=70)
    return completion(**{"status": status, "failure": failure, "answer": None, "attempts": (), "plan": None, **changes})


def hit(**changes: Any) -> Completion:
    return completion(attempts=(), plan=None, cache="exact", saved=SAVED, **changes)


def test_an_answer_goes_out_under_its_request_with_what_it_took_and_cost() -> None:
    event = completion()
    (sent, *_) = records_of(Door().take(event))

    assert (sent.topic, sent.key) == (RESPONSES, "r-1")
    response = sent.event
    assert isinstance(response, Response)
    assert (response.request_id, response.tenant_id, response.status) == ("r-1", "acme", "ok")
    assert response.output == Output(content="Yes.")
    assert (response.model, response.provider, response.deployment, response.route) == (
        "gpt-5-mini-2026",
        "openai",
        "openai-1",
        "default",
    )
    assert response.usage == Usage(uncached_input_tokens=12, text_output_tokens=5)
    assert (response.cost_usd, response.attempts, response.error) == (CALL_USD, 1, None)
    assert (response.timings.total_ms, response.timings.provider_ms, response.timings.added_ms) == (1_200, 1_000, 200)
    assert response.timings.stages == {"validate": 0, "limit": 5, "route": 9, "invoke": 1_100, "postprocess": 1_200}
    assert response.answered_at_ms == LATER_MS
    assert response.price_version is not None


def test_every_attempt_has_its_row_and_only_the_last_is_final() -> None:
    tries = (failed_attempt(1), attempt(2, **TIMED_OUT, usage_raw=None), attempt(3))
    door = opened(completion(attempts=tries))

    assert [(row.attempt_id, row.phase) for row in door.rows.values()] == [
        ("attempt-1", "priced"),
        ("attempt-2", "priced"),
        ("attempt-3", "priced"),
    ]
    assert [(row.is_final, row.request_status) for row in door.rows.values()] == [
        (False, None),
        (False, None),
        (True, "ok"),
    ]
    assert {record.key for record in door.written if record.topic is CALLS} == {"acme"}


def test_what_was_turned_away_is_free_and_what_was_lost_is_unknown() -> None:
    tries = (failed_attempt(1), failed_attempt(2, **TIMED_OUT), attempt(3))
    free, lost, paid = opened(completion(attempts=tries)).rows.values()

    assert (free.cost.status, free.cost.total_usd) == ("priced", 0)
    assert (lost.cost.status, lost.cost.total_usd) == ("unknown_billable", None)
    assert (paid.cost.status, paid.cost.total_usd) == ("priced", CALL_USD)


@pytest.mark.parametrize(
    ("called", "status"),
    [
        (attempt(usage_raw=None, usage_source="none"), "unknown_billable"),
        (attempt(usage_raw={"prompt_tokens": "many"}), "unknown_billable"),
        (attempt(usage_raw={}), "unknown_billable"),
        (attempt(model="unheard-of"), "unpriced"),
        (failed_attempt(**TIMED_OUT), "unknown_billable"),
    ],
    ids=["no usage", "unreadable usage", "empty usage", "a model without a price", "a timeout"],
)
def test_a_cost_nobody_knows_is_null_and_never_zero(called: Any, status: str) -> None:
    door = opened(completion(attempts=(called,)))

    (row,) = door.rows.values()
    assert (row.cost.status, row.cost.total_usd) == (status, None)
    assert door.responses[0].cost_usd is None


def test_a_cut_streams_tokens_are_priced_as_an_estimate() -> None:
    cut: dict[str, Any] = {"error_class": "cut_stream", "ambiguous": True, "finish_reason": None}
    door = opened(completion(attempts=(attempt(1, **cut, usage_source="partial"), attempt(2))))

    partial, whole = door.rows.values()

    assert (partial.cost.status, partial.cost.total_usd, partial.complete) == ("estimated", CALL_USD, False)
    assert (whole.cost.status, whole.complete) == ("priced", True)
    assert door.responses[0].cost_usd == 2 * CALL_USD


def test_prices_are_those_of_whoever_the_deployment_says_it_is() -> None:
    ours = plan()
    renamed = replace(ours, targets=(replace(ours.targets[0], price_as="unheard-of"),))

    assert only_response(completion(plan=renamed)).cost_usd is None
    assert only_response(completion(plan=ours)).cost_usd == CALL_USD


def test_rows_have_the_agreed_price_and_what_the_tenant_is_charged() -> None:
    terms = PricePeriod(rates=Rates(input="0.125", output="1"), margin="0.2")
    ours = with_object(control(), Price(name="ours", tenants=("acme",), periods=(terms,)), 117)

    door = opened(completion(), ours)

    (row,) = door.rows.values()
    assert (row.cost.total_usd, row.cost.list_usd) == (CALL_USD / 2, CALL_USD)
    assert row.cost.charged_usd == Decimal("0.0000078")
    assert (row.cost.price_version or "").startswith("price/ours@117+genai-prices/")
    assert door.responses[0].price_version == row.cost.price_version


@st.composite
def attempts_lists(draw: st.DrawFn) -> tuple[Attempt, ...]:
    """Answered, lost and turned away, with and without usage."""
    made: list[Attempt] = []
    for number in range(1, draw(st.integers(1, 5)) + 1):
        how: dict[str, Any] = draw(st.sampled_from([{}, TIMED_OUT, TURNED_AWAY]))
        usage: JsonObject | None = None
        if draw(st.booleans()):
            usage = {"prompt_tokens": draw(st.integers(0, 10**7)), "completion_tokens": draw(st.integers(0, 10**6))}
        made.append(attempt(number, usage_raw=usage, **how))
    return tuple(made)


@settings(deadline=None)
@given(attempts=attempts_lists(), answered=st.booleans())
def test_the_responses_cost_is_the_sum_of_its_rows_or_unknown_where_one_is(
    attempts: tuple[Attempt, ...], answered: bool
) -> None:
    event = completion(attempts=attempts) if answered else ended_without_a_call("failed", attempts=attempts)
    door = opened(event)
    (response,) = door.responses
    totals = [row.cost.total_usd for row in door.rows.values()]

    known = [total for total in totals if total is not None]
    assert response.cost_usd == (sum(known, Decimal(0)) if len(known) == len(totals) else None)
    assert len(totals) == len(attempts) == response.attempts
    assert [row.is_final for row in door.rows.values()].count(True) == 1


@pytest.mark.parametrize(
    ("event", "cache", "error_class"),
    [
        (hit(), "exact", None),
        (ended_without_a_call(), "none", "rate_limited"),
        (ended_without_a_call("expired", "deadline_exceeded"), "none", "deadline_exceeded"),
        (ended_without_a_call("failed", "no_route"), "none", "no_route"),
        (ended_without_a_call("failed", "provider_timeout", cache="coalesced"), "coalesced", "provider_timeout"),
    ],
    ids=["a hit", "a rejection", "an expiry", "a dead end", "a shared failure"],
)
def test_a_request_that_needed_no_call_is_in_the_table_too_and_costs_nothing(
    event: Completion, cache: str, error_class: str | None
) -> None:
    door = opened(event)

    (row,) = door.rows.values()
    assert (row.attempt_no, row.is_final, row.request_status) == (0, True, event.status)
    assert (row.cost.total_usd, row.cost.status, row.cache, row.error_class) == (0, "priced", cache, error_class)
    assert row.attempt_id == "llm.requests/0/7"
    (response,) = door.responses
    assert (response.cost_usd, response.attempts, response.error) == (0, 0, event.failure)


def test_a_hit_says_what_it_saved() -> None:
    door = opened(hit())

    (row,) = door.rows.values()
    assert (row.saved_usd, row.similarity) == (CALL_USD, 1.0)
    assert (door.responses[0].saved_usd, door.responses[0].cache) == (CALL_USD, "exact")


def test_a_stranger_is_answered_and_booked_under_no_tenants_name() -> None:
    event = ended_without_a_call(code="unauthenticated", ticket=ticket("r-1", tenant_id=None))
    door = opened(event)

    assert door.responses[0].tenant_id is None
    (row,) = door.rows.values()
    assert row.tenant_id == ""
    assert [record.key for record in door.written if record.topic is CALLS] == ["-"]


def test_two_strangers_and_a_tenant_with_the_same_id_each_get_their_answer() -> None:
    door = Door()
    first = ticket("r-1", tenant_id=None)
    second = ticket("r-1", tenant_id=None, origin=replace(first.origin, offset=8))
    for each in (first, second, ticket("r-1")):
        door.take(ended_without_a_call(ticket=each))

    assert [response.tenant_id for response in door.responses] == [None, None, "acme"]


def test_a_request_carried_out_twice_is_answered_once_and_paid_for_twice() -> None:
    door = opened(completion())
    again = completion(
        ticket=ticket(stamps={"validate": NOW_MS, "invoke": NOW_MS + 9_000}), attempts=(attempt(1, attempt_id="other"),)
    )

    door.take(again, now_ms=NOW_MS + 9_100)

    assert len(door.responses) == 1
    assert [(row.attempt_id, row.cost.total_usd, row.is_final) for row in door.rows.values()] == [
        ("attempt-1", CALL_USD, True),
        ("other", CALL_USD, False),
    ]


def test_an_end_that_comes_again_by_another_way_without_a_call_leaves_no_trace() -> None:
    door = opened(completion())

    assert isinstance(door.take(hit(ticket=ticket(stamps={"validate": NOW_MS, "cache": NOW_MS + 7_000}))), Absorb)
    assert isinstance(door.replaced().take(ended_without_a_call("expired")), Absorb)


@pytest.mark.parametrize(
    "event",
    [
        completion(attempts=(failed_attempt(1), attempt(2)), slot=SLOT),
        ended_without_a_call("failed", "provider_timeout", attempts=(failed_attempt(**TIMED_OUT),), slot=SLOT),
        hit(),
        ended_without_a_call(),
    ],
    ids=["answered", "failed", "hit", "rejected"],
)
def test_a_completion_taken_again_after_a_crash_writes_all_but_the_response_again_as_it_was(event: Completion) -> None:
    """Its rows came again without the mark of the final one and took the place of the first: the request looked open.

    And where the crash had come between the response and its rows, those were never written.
    """
    whole = opened(event)
    crashed = Door()
    crashed.state.apply(whole.responses[0], LATER_MS)

    crashed.take(event, now_ms=LATER_MS + 60_000)

    assert crashed.responses == []
    assert crashed.kept == whole.kept
    assert crashed.rows.keys() == whole.rows.keys()
    for attempt_id, row in crashed.rows.items():
        before = whole.rows[attempt_id]
        assert (row.is_final, row.request_status, row.cost) == (before.is_final, before.request_status, before.cost)
        assert (row.published_at_ms, row.total_ms) == (before.published_at_ms, before.total_ms)
    assert [row.is_final for row in crashed.rows.values()].count(True) == 1


def test_a_new_worker_answers_nothing_that_was_answered() -> None:
    door = opened(completion()).replaced()

    door.take(completion())

    assert len(door.responses) == 1


@settings(deadline=None)
@given(
    produced=st.integers(0, 2 * NOW_MS),
    stamps=st.dictionaries(st.sampled_from(["validate", "limit", "invoke"]), st.integers(0, 2 * NOW_MS)),
    times=st.tuples(st.integers(0, 2 * NOW_MS), st.none() | st.integers(0, 2 * NOW_MS)),
    now_ms=st.integers(0, 2 * NOW_MS),
)
def test_clocks_that_disagree_never_make_a_time_negative(
    produced: int, stamps: dict[str, int], times: tuple[int, int | None], now_ms: int
) -> None:
    started_ms, ended_ms = times
    door = Door()
    door.take(
        completion(
            ticket=ticket(produced_at_ms=produced, stamps=stamps),
            attempts=(attempt(started_at_ms=started_ms, ended_at_ms=ended_ms),),
        ),
        now_ms=now_ms,
    )

    (response,), (row,) = door.responses, door.rows.values()
    timings = response.timings
    assert min(timings.total_ms, timings.provider_ms, timings.added_ms, *timings.stages.values()) >= 0
    assert timings.added_ms <= timings.total_ms
    spans = (row.queue_ms, row.provider_ms, row.total_ms, *row.stage_ms.values())
    assert all(span is None or span >= 0 for span in spans)


def test_when_the_decision_itself_fails_the_requester_is_told_and_the_cost_is_unknown() -> None:
    failure = Failure(code="internal_error", message="The request could not be handled.")

    records = STAGE.give_up(Requester(ticket()), failure, GivenResponses(), LATER_MS)

    (response,) = on(RESPONSES, records, Response)
    (row,) = on(CALLS, records, CallRow)
    assert (response.status, response.error, response.cost_usd) == ("failed", failure, None)
    assert (row.is_final, row.request_status, row.cost.status) == (True, "failed", "unknown_billable")
    assert row.cost.total_usd is None


def test_a_decision_that_fails_gives_no_second_answer_to_a_request_that_has_one() -> None:
    sorry = Failure(code="internal_error", message="sorry")
    first = STAGE.give_up(Requester(ticket()), sorry, GivenResponses(), LATER_MS)
    state = GivenResponses()
    state.apply(on(RESPONSES, first, Response)[0], LATER_MS)

    assert STAGE.give_up(Requester(ticket()), sorry, state, LATER_MS + 1) == ()


def test_after_a_decision_that_failed_a_second_try_books_what_was_called() -> None:
    door = Door()
    sorry = Failure(code="internal_error", message="sorry")
    door.written += STAGE.give_up(Requester(completion().ticket), sorry, GivenResponses(), LATER_MS)
    door = door.replaced()

    door.take(completion())

    assert len(door.responses) == 1
    assert door.rows["attempt-1"].cost.total_usd == CALL_USD


@pytest.mark.parametrize(
    "event",
    [
        completion(slot=SLOT, attempts=(failed_attempt(1), attempt(2))),
        hit(),
        ended_without_a_call("failed", slot=SLOT),
        ended_without_a_call(ticket=ticket(tenant_id=None)),
    ],
)
def test_everything_written_can_be_read_back(event: Completion) -> None:
    for record in opened(event).written:
        assert record.topic.events is not None
        assert record.topic.events.decode(record.event.encode()) == record.event


def test_answers_are_in_no_row_of_the_cost_table() -> None:
    usage: JsonObject = {"prompt_tokens": 12, "completion_tokens": 5}
    door = opened(completion(answer=answer(PROMPT_CANARY), attempts=(attempt(usage_raw=usage),)))

    assert all(PROMPT_CANARY not in row.encode().decode() for row in door.rows.values())


@pytest.mark.parametrize(("stamps", "known"), [({"limit": NOW_MS}, True), ({"limit": NOW_MS, "route": NOW_MS}, False)])
def test_a_request_given_up_where_it_may_have_been_called_costs_what_nobody_knows(
    stamps: dict[str, int], known: bool
) -> None:
    sorry = Failure(code="internal_error", message="sorry")
    ended = Completion(ticket=ticket(stamps=stamps), status="failed", failure=sorry)

    records = records_of(decide(ended, view(GivenResponses())))

    (response,) = on(RESPONSES, records, Response)
    (row,) = on(CALLS, records, CallRow)
    assert (response.cost_usd is not None) == known
    assert row.cost.status == ("priced" if known else "unknown_billable")

"""What giving a dead letter back would be, by where it was and what its requester was told."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.base import Event
from schemas.flow import Completion
from schemas.response import Response
from schemas.topics import (
    ADMITTED,
    CALLS,
    COMPLETIONS,
    CONTROL,
    DISPATCH,
    MISSES,
    REQUESTS,
    TOPICS,
    VALIDATED,
    Topic,
)
from scripts.cli.dead_letter import dead_letter
from scripts.cli.redrive_outcome import DoneAgain, PutBack, Unfit
from streams.cost.ledger import attempt_row
from streams.questions import prompt_of
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import Absorb, Forward
from streams.stages import limit, postprocess
from streams.state.accounts import Accounts
from streams.state.given_responses import GivenResponses
from tests.unit.examples import (
    KEY,
    NOW_MS,
    accepted,
    admitted,
    attempt,
    completion,
    control,
    deployment,
    dispatch,
    miss,
    plan,
    request_json,
    route,
    tenant,
    ticket,
    view,
)
from tests.unit.redriving import (
    BY_NAME,
    LATER_MS,
    done_again,
    each_question,
    given_back,
    given_before,
    letter,
    question,
)


@each_question
def test_what_nobody_was_told_of_goes_back_as_it_is(topic: Topic, make: Callable[..., Event]) -> None:
    value = make().encode()
    assert given_back(letter(topic, value, told=False, reason="unreadable")) == PutBack(
        topic=f"llm.{topic.name}",
        partition=1,
        key=b"a key",
        value=value,
        headers=[("x-team", b"blue"), ("millrace-redriven-from", b"3/17")],
    )


@each_question
def test_a_question_whose_requester_was_told_is_asked_anew_under_an_id_made_of_its_own(
    topic: Topic, make: Callable[..., Event]
) -> None:
    redriven = given_back(letter(topic, make(deadline_ms=NOW_MS + 1, user_id="ada").encode()), "unproven")
    asked = question(redriven)
    assert done_again(redriven).record.topic is VALIDATED
    assert done_again(redriven).record.key == "acme"
    assert (asked.ticket.request_id, asked.ticket.root_request_id) == (
        f"r-1~redrive-{topic.name}.1.91",
        "r-1",
    )
    assert (asked.ticket.user_id, asked.ticket.deadline_ms, asked.ticket.produced_at_ms) == ("ada", None, LATER_MS)
    assert asked.ticket.stamps == {"validate": LATER_MS}
    assert prompt_of(asked.prompt).messages
    assert asked.summary is not None


def test_what_is_asked_anew_is_let_in_charged_and_answered_beside_the_one_that_failed() -> None:
    accounts = Accounts()
    first, again = accepted(), question(given_back(letter(ADMITTED, admitted().encode())))
    for offset, event in enumerate((first, again)):
        where = Delivery("llm.validated", 0, offset, b"acme", event.encode(), (), LATER_MS)
        outcome = limit.decide(event, view(accounts, delivery=where))
        assert isinstance(outcome, Forward)
        for record in outcome.records:
            if record.topic.name == "accounts":
                accounts.apply(record.event, LATER_MS)


def test_the_same_given_back_twice_before_it_was_recorded_counts_once() -> None:
    accounts, record = Accounts(), letter(MISSES, miss().encode())
    outcomes: list[object] = []
    for offset in (5, 6):
        event = question(given_back(record))
        where = Delivery("llm.validated", 0, offset, b"acme", event.encode(), (), LATER_MS)
        outcome = limit.decide(event, view(accounts, delivery=where))
        outcomes.append(outcome)
        for each in outcome.records if isinstance(outcome, Forward) else ():
            if each.topic.name == "accounts":
                accounts.apply(each.event, LATER_MS)
    assert isinstance(outcomes[0], Forward)
    assert isinstance(outcomes[1], Absorb)


def test_what_fails_again_is_given_back_under_another_name_and_the_same_root() -> None:
    first = letter(ADMITTED, admitted().encode())
    name = done_again(given_back(first)).request_id
    past = given_before(first, tenant="acme", request_id=name, root_request_id="r-1", made_good="r-1")
    failed_again = letter(ADMITTED, admitted(name, root_request_id="r-1").encode(), at=(3, 18), offset=92)
    redriven = done_again(given_back(failed_again, past=past))
    assert past.letters == {"3/17"}
    assert (redriven.request_id, redriven.root_request_id) == ("r-1~redrive-admitted.1.92", "r-1")


def test_the_same_letter_again_is_the_same_request_which_counts_once_and_another_one_only_where_that_is_meant() -> None:
    record = letter(ADMITTED, admitted().encode())
    first = question(given_back(record))
    past = given_before(record, tenant="acme", request_id=first.ticket.request_id, root_request_id="r-1")
    unmeant = given_back(record, past=past)
    assert isinstance(unmeant, Unfit)
    assert "with --again" in unmeant.why
    again = question(given_back(record, "again", past=past))
    assert (again.ticket.request_id, again.digest) == (first.ticket.request_id, first.digest)
    anew = question(given_back(record, "anew", past=past))
    assert anew.ticket.request_id == "r-1~redrive-admitted.1.91~2"


def test_what_an_older_release_gave_back_keeps_the_name_that_it_had_then() -> None:
    record = letter(ADMITTED, admitted().encode())
    past = given_before(record, tenant="acme", request_id="r-1~redrive-1", root_request_id="r-1")
    assert done_again(given_back(record, "again", past=past)).request_id == "r-1~redrive-1"


def test_a_letter_that_a_crash_left_twice_is_given_back_once() -> None:
    first, twin = letter(ADMITTED, admitted().encode()), letter(ADMITTED, admitted().encode(), at=(3, 18))
    unmeant = given_back(twin, past=given_before(first, tenant="acme", request_id="r-1~x", root_request_id="r-1"))
    assert isinstance(unmeant, Unfit)
    assert "was given back before, by 3/17" in unmeant.why


def test_another_record_at_the_place_of_one_of_a_topic_that_is_gone_is_another() -> None:
    old = letter(ADMITTED, admitted("r-0").encode(), at=(3, 16))
    past = given_before(old, NOW_MS - 1, tenant="acme", request_id="r-0~x", root_request_id="r-0")
    assert done_again(given_back(letter(ADMITTED, admitted().encode()), past=past)).made_good == "r-1"


@pytest.mark.parametrize(
    ("topic", "other"),
    [(MISSES, miss().encode()), (REQUESTS, request_json(request_id="r-1", tenant_id="acme"))],
    ids=["misses", "requests"],
)
def test_a_request_that_left_two_letters_is_done_again_once(topic: Topic, other: bytes) -> None:
    first, second = letter(ADMITTED, admitted().encode()), letter(topic, other, at=(3, 18), offset=5)
    past = given_before(first, tenant="acme", request_id="r-1~x", root_request_id="r-1", made_good="r-1")
    unmeant = given_back(second, "again", past=past)
    assert isinstance(unmeant, Unfit)
    assert "done again already, by the letter of llm.admitted/1/91" in unmeant.why
    assert isinstance(given_back(second, "anew", past=past), DoneAgain)


def test_who_waits_under_the_old_id_is_told_where_the_answer_comes_when_another_model_is_asked() -> None:
    served = control(deployment("spare", "gpt-spare"), route("spare", "spare", models=("gpt-spare",)))
    redriven = done_again(given_back(letter(MISSES, miss().encode(), told=False), model="gpt-spare", view=served))
    assert redriven.request_id == "r-1~redrive-misses.1.91~gpt-spare"
    assert redriven.end is not None
    end = redriven.end.event
    assert isinstance(end, Completion)
    assert (end.ticket.request_id, end.status) == ("r-1", "failed")
    outcome = postprocess.decide(end, view(GivenResponses(), now_ms=LATER_MS))
    assert isinstance(outcome, Forward)
    (response,) = [record.event for record in outcome.records if isinstance(record.event, Response)]
    assert response.request_id == "r-1"
    assert response.error is not None
    assert redriven.request_id in response.error.message


@pytest.mark.parametrize(
    "record",
    [
        letter(MISSES, miss().encode()),
        letter(VALIDATED, accepted().encode(), told=False, reason="request_id_reused"),
    ],
    ids=["was told", "the id has the answer to another request"],
)
def test_who_has_a_response_gets_no_second_one(record: Delivery) -> None:
    assert done_again(given_back(record, model="gpt-5-mini")).end is None


def test_what_a_provider_may_have_been_paid_for_is_given_back_only_where_that_is_meant() -> None:
    record = letter(DISPATCH["low"], dispatch().encode())
    unmeant = given_back(record)
    assert isinstance(unmeant, Unfit)
    assert "whether a provider was asked, and paid" in unmeant.why
    assert "--unproven" in unmeant.why
    assert isinstance(given_back(record, "unproven"), DoneAgain)
    assert isinstance(given_back(letter(DISPATCH["low"], b"?", told=False, reason="unreadable")), PutBack)


def test_what_may_have_been_answered_longer_ago_than_answers_are_remembered_needs_a_word() -> None:
    record, late_ms = letter(MISSES, miss().encode(), told=False), NOW_MS + 7 * 3_600_000
    unmeant = given_back(record, now_ms=late_ms)
    assert isinstance(unmeant, Unfit)
    assert "answered 7 h ago, and is remembered for 6 h" in unmeant.why
    assert isinstance(given_back(record, "unproven", now_ms=late_ms), PutBack)
    told = letter(MISSES, miss().encode())
    assert isinstance(given_back(told, now_ms=late_ms), DoneAgain), "an id that nobody has used has no answer"
    past = given_before(told, NOW_MS, tenant="acme", request_id="r-1~redrive-misses.1.91", root_request_id="r-1")
    assert isinstance(given_back(told, "again", past=past, now_ms=late_ms), Unfit)
    assert isinstance(given_back(letter(CALLS, b"{}", told=False), now_ms=late_ms), PutBack)


def test_a_producers_own_headers_of_our_names_are_neither_believed_nor_kept() -> None:
    foreign = ((" Millrace-told", b"no"), ("millrace-value-omitted-bytes", b"1"), ("x-team", b"blue"))
    record = letter(MISSES, miss().encode(), headers=foreign)
    assert [name for name, _ in record.headers if "omitted" in name or name == " Millrace-told"] == []
    older = replace(record, headers=(*foreign, ("millrace-stage", b"sink"), *record.headers))
    assert dead_letter(older) == dead_letter(record)
    assert dead_letter(record).is_whole


def test_a_used_id_is_asked_under_a_new_one() -> None:
    record = letter(VALIDATED, accepted().encode(), told=False, reason="request_id_reused")
    assert done_again(given_back(record)).request_id == "r-1~redrive-validated.1.91"


def test_a_row_goes_back_whoever_could_not_take_it() -> None:
    row = attempt_row(ticket(), plan(), attempt(), "settled").encode()
    redriven = given_back(letter(CALLS, row, told=False, reason="row_refused"))
    assert isinstance(redriven, PutBack)
    assert (redriven.topic, redriven.value) == ("llm.calls", row)


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (letter(REQUESTS, b"hello", told=False, reason="no_request_id"), "have its producer send it again"),
        (letter(REQUESTS, None, told=False, reason="empty_value"), "have its producer send it again"),
        (letter(MISSES, b"hello"), "holds no question that this release can read"),
        (letter(COMPLETIONS, b"hello"), "is no completion that this release can read"),
        (letter(CONTROL, b"{}"), "nothing is given back to llm.control"),
        (letter(MISSES, miss(tenant_id="gone").encode()), "'gone' is not known here any more"),
        (letter(MISSES, miss(model="gone").encode()), "name another with --model"),
        (letter(MISSES, b"x" * 18_000_000, told=False), "there was no room for all of it"),
        (letter(MISSES, miss().encode(), told=False, partition=4), "came from partition 4"),
        (Delivery("llm.dlq", 3, 17, None, b"{}", (), 0), "do not say where it came from"),
    ],
)
def test_what_cannot_be_given_back_is_told_why(record: Delivery, why: str) -> None:
    redriven = given_back(record)
    assert isinstance(redriven, Unfit)
    assert why in redriven.why


def test_no_key_comes_back() -> None:
    redriven = given_back(letter(MISSES, b"?", told=False))
    assert isinstance(redriven, PutBack)
    assert KEY.encode() not in b"".join(value for _, value in redriven.headers)


@given(st.sampled_from([topic.name for topic in TOPICS]), st.binary(max_size=200), st.booleans())
def test_whatever_is_on_the_topic_is_given_back_or_told_why(topic: str, value: bytes, told: bool) -> None:
    record = letter(BY_NAME[f"llm.{topic}"], value, told=told)
    assert isinstance(given_back(record), PutBack | DoneAgain | Unfit)


def test_a_tenant_that_was_switched_off_since_is_not_asked_for() -> None:
    off = control(tenant(enabled=False))
    assert isinstance(given_back(letter(MISSES, miss().encode()), view=off), Unfit)


def test_the_end_of_a_request_of_nobody_we_know_is_not_told_twice() -> None:
    stranger = completion(ticket=replace(ticket(), tenant_id=None))
    assert isinstance(given_back(letter(COMPLETIONS, stranger.encode())), Unfit)

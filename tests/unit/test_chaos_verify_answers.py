"""That the verifier sees what is unanswered, answered twice, or answered and never asked: as `millrace audit` does."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from scripts.chaos.verify.answers import Answers
from scripts.chaos.verify.facts import Lettered, Requested, Responded, Seen, Unreadable
from scripts.chaos.verify.responses import Responses
from scripts.cli.audit_fold import REUSED, Bounds
from scripts.cli.audit_fold import fold as audited
from scripts.cli.offsets import Span
from tests.unit.chaos_history import (
    COST,
    NOW_MS,
    broken,
    called,
    fold,
    lettered,
    place,
    priced,
    requested,
    responded,
    seen,
    sound,
)


def test_a_sound_history_is_sound() -> None:
    answers = Answers()
    fold(answers, sound())
    assert broken(answers) == {}
    assert (answers.requests, answers.answered, answers.open) == (1, 1, 0)


def test_a_request_without_a_response_is_missed_at_the_end_and_not_before() -> None:
    answers = Answers()
    answers.take(requested())
    assert broken(answers) == {}
    assert answers.waits() == ["1 requests are not answered yet"]
    fold(answers, [])
    (example,) = broken(answers)["one answer"]
    assert example.startswith("north/r-1, asked at llm.requests/0/0")


def test_a_second_response_is_a_violation_at_once() -> None:
    answers = Answers()
    for record in (requested(), responded(0), responded(1)):
        answers.take(record)
    assert broken(answers) == {
        "one answer": ["north/r-1 is answered at llm.responses/0/0 and again at llm.responses/0/1"]
    }


def test_two_answers_to_one_record_are_a_violation_though_they_go_under_different_names() -> None:
    answers = Answers()
    for record in (requested(), responded(0, tenant=None), responded(1)):
        answers.take(record)
    (example,) = broken(answers)["one answer"]
    assert "llm.responses/0/0 and again at llm.responses/0/1" in example


def test_a_response_to_a_record_that_is_not_there_is_found() -> None:
    answers = Answers()
    fold(answers, [requested(), responded(answers=7)])
    assert "no answer to nothing" in broken(answers)


def test_what_is_no_response_is_found() -> None:
    answers = Answers()
    fold(answers, [seen("responses", 3, Unreadable("ValidationError"))])
    assert "readable responses" in broken(answers)


def test_a_reused_id_needs_its_dead_letter_and_no_answer() -> None:
    answers = Answers()
    fold(answers, [requested(0), responded(0), requested(1), lettered(requested(1), "limit", REUSED, origin=1)])
    assert broken(answers) == {}


def test_what_has_no_id_must_be_in_the_dead_letters() -> None:
    for letters, violated in (([lettered(requested(), "validate", "empty_value")], False), ([], True)):
        answers = Answers()
        fold(answers, [requested(request_id=None), *letters])
        assert bool(broken(answers)) is violated


REQUESTS = st.builds(
    requested, st.integers(0, 5), st.sampled_from(["a", "b", None]), tenant=st.sampled_from(["north", None])
)
RESPONSES = st.builds(
    responded,
    st.integers(0, 9),
    st.sampled_from(["a", "b"]),
    answers=st.integers(0, 7),
    tenant=st.sampled_from(["north", None]),
)
LETTERS = st.builds(
    lettered, st.just(requested()), st.just("limit"), st.sampled_from([REUSED, "unreadable"]), origin=st.integers(0, 5)
)


@given(
    requests=st.lists(REQUESTS, max_size=6, unique_by=lambda each: each.place),
    responses=st.lists(RESPONSES, max_size=6, unique_by=lambda each: each.place),
    letters=st.lists(LETTERS, max_size=3),
    order=st.randoms(use_true_random=False),
)
def test_in_whatever_order_topics_are_read_the_verdict_is_the_audits(
    requests: list[Seen], responses: list[Seen], letters: list[Seen], order: Random
) -> None:
    in_order = iter(sorted(requests, key=lambda each: each.place))
    records = [*requests, *responses, *letters]
    order.shuffle(records)
    records = [next(in_order) if each in requests else each for each in records]
    answers = Answers()
    fold(answers, records)

    report = audited(
        [each.fact.asked for each in requests if isinstance(each.fact, Requested)],
        [each.fact.replied for each in responses if isinstance(each.fact, Responded)],
        [each.fact.buried for each in letters if isinstance(each.fact, Lettered)],
        Bounds("llm.requests", {0: Span(0, 6)}, NOW_MS + 10, patience_ms=0),
    )
    missing = [each for each in answers.once.examples if "has no response" in each]
    under_two = [each for each in answers.once.examples if ", the record" in each]
    again = sum(len(each.places) - 1 for each in report.twice if each.record is None)
    assert len(missing) == len(report.missing)
    assert answers.answered == report.responses - again
    assert answers.once.violations == len(missing) + len(under_two) + again
    assert bool(again or under_two) is bool(report.twice)


def test_a_response_must_cost_what_its_rows_add_up_to() -> None:
    for cost, violated in ((COST, False), (COST * 2, True), (None, True)):
        responses = Responses()
        fold(responses, [responded(cost=cost), called(0, "started"), priced()])
        assert ("response cost" in broken(responses)) is violated


def test_a_response_whose_attempt_costs_nobody_knows_what_must_say_null() -> None:
    for cost, violated in ((None, False), (COST, True)):
        responses = Responses()
        fold(responses, [called(1, "priced"), responded(cost=cost)])
        assert ("response cost" in broken(responses)) is violated


def test_a_response_without_all_its_rows_is_found_at_the_end() -> None:
    responses = Responses()
    fold(responses, [responded(attempts=2), priced()])
    assert broken(responses) == {"response cost": ["north/r-1 at llm.responses/0/0 has 2 attempts and 1 rows"]}


def test_the_same_event_id_twice_is_found() -> None:
    responses = Responses()
    fold(responses, [responded(0), responded(1), priced()])
    assert broken(responses)["distinct response ids"] == ["llm.completions/0/0/0 is there again at llm.responses/0/1"]
    assert place("responses", 1).offset == 1

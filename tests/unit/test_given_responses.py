"""Which requests have their response: told apart by tenant and id, and by how they came to their end."""

from typing import Any

import pytest
from msgspec.structs import replace

from schemas.flow import Completion
from schemas.response import Response
from streams.cost.booking import book
from streams.stages.postprocess import respond
from streams.state.given_responses import REMEMBERED_MS, GivenResponses, identity_of
from tests.unit.examples import NOW_MS, accepted, attempt, completion, control, failed_attempt, ticket


def response(event: Completion | None = None, *, now_ms: int = NOW_MS + 1_200) -> Response:
    ended = event or completion()
    ended = replace(ended, ticket=ended.ticket.stamped("postprocess", now_ms))
    return respond(
        ended, [book(control(), ended.ticket.tenant_id, ended.plan, each) for each in ended.attempts], now_ms
    )


def answered(*given: Response, now_ms: int = NOW_MS) -> GivenResponses:
    made = GivenResponses()
    for each in given:
        assert made.apply(Response.decode(each.encode()), now_ms) == ()
    return made


@pytest.mark.parametrize("tenant_id", ["acme", "globex", None])
def test_a_response_shows_the_identity_of_the_ticket_it_answers(tenant_id: str | None) -> None:
    asked = ticket(tenant_id=tenant_id)

    assert identity_of(response(completion(ticket=asked))) == asked.identity


def test_only_what_was_answered_is_known() -> None:
    state = answered(response())

    assert "acme/r-1" in state
    assert "acme/r-2" not in state
    assert "globex/r-1" not in state


def test_the_same_completion_taken_later_is_recognised_and_the_time_of_its_answer_known() -> None:
    state = answered(response())

    assert state.given_ms(response(now_ms=NOW_MS + 99_000)) == NOW_MS + 1_200


@pytest.mark.parametrize(
    "changes",
    [
        {"ticket": ticket(stamps={"validate": NOW_MS, "limit": NOW_MS + 5, "invoke": NOW_MS + 1_101})},
        {"attempts": (attempt(ended_at_ms=NOW_MS + 1_099),)},
        {"attempts": (failed_attempt(1), attempt(2))},
        {"attempts": (), "cache": "exact"},
        {"status": "failed", "answer": None},
    ],
    ids=["other times", "another call", "more calls", "a hit", "a failure"],
)
def test_another_course_of_the_same_request_is_told_apart(changes: dict[str, Any]) -> None:
    state = answered(response())
    other = response(completion(**changes))

    assert identity_of(other) in state
    assert state.given_ms(other) is None


def test_of_two_responses_to_one_request_the_first_counts() -> None:
    late = response(completion(attempts=(), cache="exact"), now_ms=NOW_MS + 5_000)

    assert answered(response(), late).given_ms(late) is None


def test_what_was_never_answered_was_never_given() -> None:
    assert GivenResponses().given_ms(response()) is None


def test_an_answer_is_forgotten_when_no_completion_can_come_again() -> None:
    state = answered(response())
    state.apply(response(completion(ticket=ticket("r-2"))), NOW_MS + REMEMBERED_MS)
    assert "acme/r-1" in state

    state.apply(response(completion(ticket=ticket("r-3"))), NOW_MS + REMEMBERED_MS + 1)

    assert "acme/r-1" not in state
    assert "acme/r-2" in state


def test_no_more_are_remembered_than_there_is_room_for_and_the_newest_are() -> None:
    state = GivenResponses(most=2)
    for request_id in ("r-1", "r-2", "r-3"):
        state.apply(response(completion(ticket=ticket(request_id))), NOW_MS)

    assert "acme/r-1" not in state
    assert "acme/r-2" in state
    assert "acme/r-3" in state


def test_after_a_long_outage_old_answers_are_still_known() -> None:
    long_after = NOW_MS + 3 * REMEMBERED_MS

    assert "acme/r-1" in answered(response(), now_ms=long_after)


def test_nothing_else_can_be_held() -> None:
    with pytest.raises(TypeError, match="not a response: Accepted"):
        GivenResponses().apply(accepted(), NOW_MS)

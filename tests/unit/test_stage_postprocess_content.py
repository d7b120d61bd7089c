"""What may be told of an answer, and to whom: rules keep it back, and what was taken out of its prompt comes back."""

from typing import Any

import pytest

from schemas.cached import Fill, FlightEnded
from schemas.call import CallRow
from schemas.content import ContentRule, Redaction
from schemas.flow import Completion, Saved
from schemas.response import Response
from schemas.topics import CACHE, CALLS, RESPONSES
from schemas.usage import Usage
from streams.control import ControlView
from streams.runtime.outcome import Record
from streams.stages.postprocess import decide
from streams.state.given_responses import GivenResponses
from tests.unit.examples import (
    admitted,
    answer,
    completion,
    control,
    on,
    records_of,
    slot_of,
    tenant,
    ticket,
    view,
)

WHO = "ada@example.org"
PUT_BACK = {"[EMAIL_1]": WHO}
SLOT = slot_of(admitted())


def answered(event: Completion, configured: ControlView | None = None) -> tuple[Record, ...]:
    return records_of(decide(event, view(GivenResponses(), control=configured)))


def response_of(records: tuple[Record, ...]) -> Response:
    (response,) = on(RESPONSES, records, Response)
    return response


def content_of(records: tuple[Record, ...]) -> str | None:
    output = response_of(records).output
    return None if output is None else output.content


def asking(**changes: Any) -> Completion:
    return completion(ticket=ticket(redacted=PUT_BACK), **changes)


def test_what_was_taken_out_comes_back_in_the_response_and_nowhere_else() -> None:
    records = answered(asking(answer=answer("Write to [EMAIL_1]."), slot=SLOT))
    assert content_of(records) == f"Write to {WHO}."
    others = b"".join(record.event.encode() for record in records if record.topic is not RESPONSES)
    assert WHO.encode() not in others
    (fill,) = on(CACHE, records, Fill)
    assert fill.answer.output.content == "Write to [EMAIL_1]."
    assert response_of(records).encode().count(WHO.encode()) == 1


def test_an_answer_kept_for_all_gets_each_requests_own_values_back() -> None:
    saved = Saved(request_id="r-0", usage=Usage(), cost_usd=None)
    hits = [
        completion(
            ticket=ticket(redacted={"[EMAIL_1]": who}),
            answer=answer("[EMAIL_1] it is."),
            cache="exact",
            saved=saved,
            attempts=(),
            plan=None,
        )
        for who in ("ada@x.org", "bob@x.org")
    ]
    assert [content_of(answered(hit)) for hit in hits] == ["ada@x.org it is.", "bob@x.org it is."]


def test_json_that_was_asked_for_is_read_with_the_values_in_it() -> None:
    records = answered(asking(answer=answer('{"to": "[email_1]"}'), parse_json=True))
    output = response_of(records).output
    assert output is not None
    assert output.parsed == {"to": WHO}


def test_an_answer_that_a_rule_holds_back_is_paid_for_and_neither_told_nor_kept() -> None:
    forbidding = control(tenant(content_rules=(ContentRule(name="no-recipes", words=("thyme",)),)))
    records = answered(completion(answer=answer("It is thyme."), slot=SLOT), forbidding)
    response = response_of(records)
    assert (response.status, response.finish_reason) == ("failed", "content_filter")
    assert response.error is not None
    assert response.error.code == "content_blocked"
    assert b"thyme" not in b"".join(record.event.encode() for record in records)
    (ended,) = on(CACHE, records, FlightEnded)
    assert ended.status == "failed"
    (row,) = on(CALLS, records, CallRow)
    assert (row.cost.status, row.request_status) == ("priced", "failed")
    assert response.cost_usd == row.cost.total_usd


@pytest.mark.parametrize("of", ["answer", "both"])
def test_what_a_model_says_of_people_is_masked_for_whoever_reads_it_later_too(of: Any) -> None:
    masking = control(tenant(redaction=Redaction(entities=("email",), of=of)))
    records = answered(completion(answer=answer(f"Ask {WHO}."), slot=SLOT), masking)
    assert content_of(records) == "Ask [EMAIL]."
    assert WHO.encode() not in b"".join(record.event.encode() for record in records)


def test_what_the_model_made_up_is_masked_and_what_the_requester_gave_comes_back() -> None:
    both = control(tenant(redaction=Redaction(entities=("email",), of="both", restore=True)))
    records = answered(asking(answer=answer("[EMAIL_1] knows bob@example.org.")), both)
    assert content_of(records) == f"{WHO} knows [EMAIL]."


def test_a_rule_that_came_later_holds_for_answers_that_were_kept_before() -> None:
    forbidding = control(tenant(content_rules=(ContentRule(name="no-recipes", words=("thyme",)),)))
    saved = Saved(request_id="r-0", usage=Usage(), cost_usd=None)
    hit = completion(answer=answer("It is thyme."), cache="exact", saved=saved, attempts=(), plan=None)
    assert response_of(answered(hit, forbidding)).status == "failed"

"""An answer in JSON is also given parsed, unless it is not JSON, or nobody could read the response for it."""

from typing import Any

import pytest

from schemas.flow import Completion
from schemas.response import Output, Response
from schemas.topics import RESPONSES
from streams.answers.structure import MAX_PARSED_LEVELS
from streams.stages.postprocess import decide
from streams.state.given_responses import GivenResponses
from tests.unit.examples import answer, completion, forwarded, on, view


def response_to(event: Completion) -> Response:
    (response,) = on(RESPONSES, forwarded(decide(event, view(GivenResponses()))), Response)
    return response


def content(text: str, *, parse: bool = True) -> Output | None:
    return response_to(completion(answer=answer(text), parse_json=parse)).output


@pytest.mark.parametrize("parsed", [{"ripe": True}, [1, 2.5, None], "yes", 0])
def test_an_answer_in_json_is_parsed_for_who_asked_for_it(parsed: Any) -> None:
    text = Output(parsed=parsed).encode().decode().split('"parsed":')[1].split(',"refusal"')[0]

    assert content(text) == Output(content=text, parsed=parsed)
    assert content(text, parse=False) == Output(content=text)


@pytest.mark.parametrize("text", ["Yes.", "", "{", '{"ripe": NaN}', "```json\n{}\n```", '"\\ud800"'])
def test_an_answer_that_should_be_json_and_is_not_is_given_as_it_is(text: str) -> None:
    assert content(text) == Output(content=text)


def test_an_answer_without_text_is_not_parsed() -> None:
    assert response_to(completion(answer=answer(None), parse_json=True)).output == Output()


@pytest.mark.parametrize("levels", [MAX_PARSED_LEVELS, MAX_PARSED_LEVELS + 1, 250, 1_000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_json_nested_so_deep_that_the_response_could_not_be_read_is_left_as_text(
    levels: int, opening: str, closing: str
) -> None:
    """A model that answers with brackets made an answer nobody could read, and a paid call booked at nothing."""
    text = opening * levels + ("0" if opening != "[" else "") + closing * levels

    response = response_to(completion(answer=answer(text), parse_json=True))

    assert response.output is not None
    assert response.output.content == text
    assert (response.output.parsed is not None) is (levels <= MAX_PARSED_LEVELS)
    assert Response.decode(response.encode()) == response

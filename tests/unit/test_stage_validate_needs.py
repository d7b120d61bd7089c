"""What no target could ever serve is refused at once; what a request needs travels with it."""

import base64
from decimal import Decimal
from typing import Any

import pytest

from schemas.flow import Needs
from schemas.prompt import IMAGE_SIGNATURES
from schemas.routing import Features
from streams.control import ControlView
from tests.unit.examples import control, deployment, request_json, route, tenant
from tests.unit.validating import accepted, refused

# the tokenizer's package opens its vocabulary, once, with a function that Python 3.11 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:open_binary is deprecated:DeprecationWarning")

CALCULATOR = {"type": "function", "function": {"name": "sum"}}
PNG, *_ = IMAGE_SIGNATURES["image/png"]
IMAGE = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


def limited_to(**features: Any) -> ControlView:
    known = {"gpt-5-mini": Features(**features)}
    return control(
        deployment("narrow", models={"gpt-5-mini": "gpt-4o-mini"}, features=known), route("default", "narrow")
    )


@pytest.mark.parametrize(
    ("features", "changes", "field", "says"),
    [
        ({"tools": False}, {"params": {"tools": [CALCULATOR]}}, "params.tools", "it does not take tools"),
        (
            {"images": False},
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": IMAGE}}]}]},
            "messages",
            "it does not take images",
        ),
        (
            {"structured_output": False},
            {"params": {"response_format": {"type": "json_object"}}},
            "params.response_format",
            "it does not take structured output",
        ),
        ({"max_output_tokens": 10}, {"params": {"max_tokens": 11}}, "params.max_tokens", "at most 10 tokens"),
        ({"context_tokens": 50}, {"params": {"max_tokens": 45}}, "messages", "its context window is 50 tokens"),
        ({}, {"max_cost_usd": "0.000001"}, "max_cost_usd", "max_cost_usd is 0.000001"),
    ],
    ids=["tools", "images", "structured output", "answer", "context", "cost"],
)
def test_what_no_target_could_ever_serve_is_refused_at_once_in_words_that_say_what_would_do(
    features: dict[str, Any], changes: dict[str, Any], field: str, says: str
) -> None:
    failure = refused(request_json(**changes), configured=limited_to(**features)).failure

    assert (failure.code, failure.field, failure.retryable) == ("no_target", field, False)
    assert says in failure.message
    assert "route default" in failure.message
    assert "gpt-5-mini at narrow" in failure.message


def test_a_tenant_with_no_target_where_its_data_may_go_is_refused_at_once() -> None:
    configured = control(tenant(regions=("eu",)), deployment(region="us"))

    failure = refused(request_json(), configured=configured).failure

    assert (failure.code, failure.field) == ("no_target", "tenant_id")
    assert "it is in us and the tenant's data stays in eu" in failure.message


def test_what_a_request_needs_travels_with_it_and_what_any_model_does_is_not_written() -> None:
    asked = request_json(params={"tools": [CALCULATOR], "max_tokens": 50}, max_cost_usd="0.5")

    summary, plain = (accepted(value, configured=limited_to()).summary for value in (asked, request_json()))

    assert summary is not None
    assert summary.needs == Needs(max_tokens=50, tools=True, max_cost_usd=Decimal("0.5"))
    assert plain is not None
    assert plain.needs is None


def test_what_may_be_paid_for_an_answer_is_no_part_of_the_question() -> None:
    capped, free = (accepted(request_json(max_cost_usd=usd), configured=limited_to()).summary for usd in ("0.5", ...))

    assert capped is not None
    assert free is not None
    assert (capped.namespace, capped.entry) == (free.namespace, free.entry)


def test_a_prompt_near_the_end_of_a_context_window_is_counted_and_another_only_guessed() -> None:
    text = "ripe " * 400  # 2 000 characters: guessed as 507 tokens with its frame, counted as 408
    value = request_json(messages=[{"role": "user", "content": text}])

    assert accepted(value, configured=limited_to(context_tokens=1_000)).input_tokens < 420
    assert accepted(value, configured=limited_to(context_tokens=100_000)).input_tokens > 500


def test_a_prompt_is_counted_where_a_cap_depends_on_it() -> None:
    text = "ripe " * 400

    asked = accepted(
        request_json(messages=[{"role": "user", "content": text}], max_cost_usd="1"), configured=limited_to()
    )

    assert asked.input_tokens < 420

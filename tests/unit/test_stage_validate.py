"""Whatever the outside world writes goes on, is refused in words that say what to do, or becomes a dead letter."""

import base64
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.control import Route, RouteTarget
from schemas.flow import Accepted, Completion, Refused
from schemas.response import Failure
from schemas.topics import MAX_REQUEST_BYTES, VALIDATED
from streams.questions import prompt_of
from streams.runtime.delivery import Delivery, Headers
from streams.runtime.outcome import DeadLetter, Finish, Forward, Outcome, Park
from streams.runtime.stage import Stateless
from streams.stages.validate import STAGE, decide
from tests.unit.examples import (
    KEY,
    KEY_SHA256,
    NOW_MS,
    PROMPT_CANARY,
    bearing,
    control,
    deployment,
    finished,
    forwarded,
    request_json,
    route,
    tenant,
    view,
)
from tests.unit.examples import delivery as record
from tests.unit.validating import accepted, outcome_of, refused

# the tokenizer's package opens its vocabulary, once, with a function that Python 3.11 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:open_binary is deprecated:DeprecationWarning")

OTHER_KEY = "sk-canary-of-somebody-else"
LOCKED = control(tenant(open_=False, key_sha256=("0" * 64, KEY_SHA256)), tenant("globex"))
NOT_AN_IMAGE = base64.b64encode(b"just text").decode()


def nested(levels: int) -> bytes:
    opened, closed = b"[" * levels, b"]" * levels
    tool = b'{"function":{"name":"f","parameters":{"a":' + opened + closed + b"}}}"
    head = b'{"request_id":"r-1","tenant_id":"acme","messages":[{"role":"user","content":"x"}],'
    return head + b'"params":{"tools":[' + tool + b"]}}"


def test_a_good_request_goes_on_under_its_tenants_key_with_everything_it_said() -> None:
    value = request_json(user_id="ada", task="search", priority="high", labels={"feature": "search"})

    (sent,) = forwarded(outcome_of(value, timestamp_ms=NOW_MS - 40))

    assert sent.key == "acme"
    event = sent.event
    assert isinstance(event, Accepted)
    ticket = event.ticket
    assert (ticket.request_id, ticket.tenant_id, ticket.user_id, ticket.task) == ("r-1", "acme", "ada", "search")
    assert (ticket.priority, ticket.labels) == ("high", {"feature": "search"})
    assert (ticket.produced_at_ms, ticket.stamps) == (NOW_MS - 40, {"validate": NOW_MS})
    assert (ticket.origin.topic, ticket.origin.partition, ticket.origin.offset) == ("llm.requests", 0, 7)
    assert ticket.config_version == control().version
    assert event.input_tokens > 0


@dataclass(frozen=True, slots=True)
class Bad:
    """Something an authenticated sender gets wrong, the field it must be told, and words of what to do."""

    name: str
    value: bytes
    field: str | None
    advice: str
    request_id: str = "r-1"


BAD = (
    Bad("an unknown field", request_json(colour=1), "colour", "remove it"),
    Bad("a misspelt field", request_json(modle="x"), "modle", "did you mean model?"),
    Bad("a wrong role", request_json(messages=[{"role": "usr", "content": "x"}]), "messages.0.role", "must be one of"),
    Bad("a 300-character id", request_json(request_id="i" * 300), "request_id", "at most 128", "i" * 300),
    Bad("an unknown model", request_json(model="gpt-9"), "model", "known: gpt-5-mini, or auto"),
    Bad("a deadline that is past", request_json(deadline_ms=NOW_MS - 5), "deadline_ms", "send a later one"),
    Bad("a deadline that is now", request_json(deadline_ms=NOW_MS), "deadline_ms", "send a later one"),
    Bad("negative max_tokens", request_json(params={"max_tokens": -1}), "params.max_tokens", "at least 1"),
    Bad(
        "a base64 image that is not one",
        request_json(
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{NOT_AN_IMAGE}"}},
                    ],
                }
            ]
        ),
        "messages.0.content.0.image_url.url",
        "send the image itself",
    ),
    Bad("no messages", request_json(messages=...), "messages", "add it"),
    Bad("a NaN", request_json(params={"temperature": 0}).replace(b":0}", b":NaN}"), "params.temperature", "must be"),
    Bad(
        "a number beyond all bounds",
        request_json(params={"temperature": 0}).replace(b":0}", b":1e999}"),
        "params.temperature",
        "must be",
    ),
    Bad("ten megabytes", request_json(task="t" * 10_000_000), None, f"at most {MAX_REQUEST_BYTES}"),
    Bad("a thousand levels", nested(1_000), None, "recursion limit"),
)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_proven_tenant_is_told_the_field_and_what_to_do(bad: Bad) -> None:
    event = refused(bad.value)

    assert (event.ticket.request_id, event.ticket.tenant_id) == (bad.request_id, "acme")
    assert event.failure.field == bad.field
    assert bad.advice in event.failure.message
    assert len(event.encode()) < 10_000, "a refusal carries nothing of what was refused"


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_refusal_can_be_read_by_the_next_stage_and_goes_to_its_tenants_partition(bad: Bad) -> None:
    (sent,) = forwarded(outcome_of(bad.value))

    assert sent.key == "acme"
    assert VALIDATED.events is not None
    assert VALIDATED.events.decode(sent.event.encode()) == sent.event


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty_value"),
        (b"", "empty_value"),
        (b"not json", "no_request_id"),
        (b'{"request_id": "r-1", "tenant', "no_request_id"),
        (b"\xff\xfe{}", "no_request_id"),
        (b'{"request_id": "\xc3\x28"}', "no_request_id"),
        (b'{"request_id": "\\ud800"}', "no_request_id"),
        (b'{"request_id": "\\ud800", "tenant_id": "acme", "x": NaN}', "no_request_id"),
        (b"[]", "no_request_id"),
        (b'"r-1"', "no_request_id"),
        (b"null", "no_request_id"),
        (b"{}", "no_request_id"),
        (request_json(request_id=...), "no_request_id"),
        (request_json(request_id=5), "no_request_id"),
        (request_json(request_id=""), "no_request_id"),
        (request_json(request_id="i" * 1_025), "no_request_id"),
        (b"[" * 100_000 + b"]" * 100_000, "no_request_id"),
        (nested(100_000), "no_request_id"),
        (b"x" * 10_000_000, "no_request_id"),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else str(value),
)
def test_what_names_nobody_to_answer_becomes_a_dead_letter(value: bytes | None, reason: str) -> None:
    outcome = outcome_of(value)

    assert isinstance(outcome, DeadLetter)
    assert outcome.reason == reason
    assert outcome.detail


def turned_away(value: bytes) -> Failure:
    """Under no tenant's name, in words that can be sent."""
    completion = finished(outcome_of(value))
    assert (completion.ticket.request_id, completion.ticket.tenant_id) == ("r-1", None)
    assert completion.failure is not None
    assert Completion.decode(completion.encode()) == completion
    return completion.failure


def test_a_tenant_id_that_is_no_text_is_not_known_and_whoever_sent_it_is_told() -> None:
    failure = turned_away(b'{"request_id":"r-1","tenant_id":"\\ud800","x":NaN}')

    assert (failure.code, failure.field) == ("unknown_tenant", "tenant_id")


def test_a_tenant_id_without_end_is_not_repeated_to_its_end() -> None:
    failure = turned_away(b'{"request_id":"r-1","x":NaN,"tenant_id":"' + b"t" * 100_000 + b'"}')

    assert failure.code == "unknown_tenant"
    assert len(failure.message) < 200


@pytest.mark.parametrize(
    "member", [b'"\\udfff":1', b'"labels":{"a":"\\ud800"}', b'"x":[NaN,"\\ud800"]', b'"x":' + b"9" * 5_000]
)
def test_a_proven_tenant_is_told_of_what_no_strict_parser_reads(member: bytes) -> None:
    event = refused(b'{"request_id":"r-1","tenant_id":"acme",' + member + b"}")

    assert (event.ticket.request_id, event.ticket.tenant_id) == ("r-1", "acme")
    assert Refused.decode(event.encode()) == event


def test_a_tool_with_a_hundred_levels_of_schema_is_no_reason_to_refuse() -> None:
    event = accepted(nested(100))

    assert VALIDATED.events is not None
    assert VALIDATED.events.decode(event.encode()) == event


def test_two_requests_with_one_id_keep_different_digests_and_a_repetition_the_same() -> None:
    first, again, other = (accepted(request_json(task=task)) for task in ("a", "a", "b"))

    assert first.digest == again.digest
    assert first.digest != other.digest


@pytest.mark.parametrize("model", ["gpt-5-mini", "auto", "cheap"])
def test_a_model_an_alias_and_auto_are_known(model: str) -> None:
    aliased = control(route("cheap", models=("cheap",)))

    assert accepted(request_json(model=model), configured=aliased).ticket.model == model


def test_the_models_named_to_one_tenant_are_those_it_can_ask_for() -> None:
    configured = control(
        tenant("globex"),
        deployment("openai-2", "globex-tuned"),
        Route(
            name="tuned", tenants=("globex",), models=("globex-tuned",), targets=(RouteTarget(deployment="openai-2"),)
        ),
    )

    mine = refused(request_json(model="gpt-9"), configured=configured)
    theirs = refused(request_json(model="gpt-9", tenant_id="globex"), configured=configured)

    assert "globex-tuned" not in mine.failure.message
    assert "globex-tuned" in theirs.failure.message


def test_a_long_list_of_models_is_cut_and_counted() -> None:
    models = [f"model-{number:02}" for number in range(20)]

    message = refused(request_json(model="gpt-9"), configured=control(deployment("openai-1", *models))).failure.message

    assert "model-11 and 8 more, or auto" in message
    assert "model-12" not in message


@pytest.mark.parametrize("timestamp_ms", [-1, 0, 2**62, 253_402_300_800_000, NOW_MS * 1_000])
@pytest.mark.parametrize("value", [request_json(), request_json(colour=1)])
def test_a_record_whose_own_time_cannot_be_true_counts_as_written_now(timestamp_ms: int, value: bytes) -> None:
    (sent,) = forwarded(outcome_of(value, timestamp_ms=timestamp_ms))

    assert isinstance(sent.event, Accepted | Refused)
    assert sent.event.ticket.produced_at_ms == NOW_MS


@pytest.mark.parametrize("timestamp_ms", [-1, 2**62])
def test_the_requester_of_a_decision_that_failed_is_made_out_whatever_time_the_record_bears(timestamp_ms: int) -> None:
    requester = STAGE.requester(record(request_json(), timestamp_ms=timestamp_ms))
    ticket = requester.ticket if requester else None

    assert ticket is not None
    assert (ticket.request_id, ticket.tenant_id) == ("r-1", None)


@pytest.mark.parametrize("value", [None, b"", b"[]", b"not json", b"{}", nested(100_000)])
def test_there_is_no_requester_where_no_id_is_readable(value: bytes | None) -> None:
    assert STAGE.requester(record(value)) is None


def test_a_trace_that_is_valid_travels_on_and_any_other_does_not() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    assert accepted(request_json(), headers=(("traceparent", trace.encode()),)).ticket.trace_parent == trace
    assert accepted(request_json(), headers=(("traceparent", b"\xff\xfe"),)).ticket.trace_parent is None


def failure_in(outcome: Outcome) -> str:
    match outcome:
        case DeadLetter():
            return outcome.detail
        case Finish(completion):
            return (completion.failure or Failure(code="internal_error", message="")).encode().decode()
        case Forward():
            (sent,) = outcome.records
            return sent.event.failure.encode().decode() if isinstance(sent.event, Refused) else ""
        case _:
            return ""


@pytest.mark.parametrize(
    "value",
    [
        request_json(messages=[{"role": "usr", "content": PROMPT_CANARY}]),
        request_json(messages=[{"role": PROMPT_CANARY, "content": "x"}]),
        request_json(messages=PROMPT_CANARY),
        request_json(messages=[{"role": "user", "content": PROMPT_CANARY, PROMPT_CANARY: 1}]),
        request_json(params={"stop": PROMPT_CANARY}),
        request_json(task=PROMPT_CANARY, key=KEY),
        request_json(model=PROMPT_CANARY),
        request_json(deadline_ms=PROMPT_CANARY),
        request_json(request_id=..., messages=[{"role": "user", "content": PROMPT_CANARY}]),
        PROMPT_CANARY.encode(),
        request_json() + PROMPT_CANARY.encode(),
    ],
)
@pytest.mark.parametrize("headers", [(), bearing(KEY), bearing(OTHER_KEY), (("authorization", KEY.encode()),)])
def test_no_key_and_nothing_of_a_prompt_is_in_any_failure(value: bytes, headers: Headers) -> None:
    for configured in (control(), LOCKED):
        told = failure_in(outcome_of(value, configured=configured, headers=headers))
        assert PROMPT_CANARY not in told
        assert KEY not in told
        assert OTHER_KEY not in told


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("request_id", "tenant_id", "model", "messages", "params", "deadline_ms", "labels", "cache", "schema_version")


@settings(deadline=None)
@given(
    changes=st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=4),
    cut=st.integers(0, 400),
    timestamp_ms=st.integers(-(2**62), 2**62),
    header=st.none() | st.binary(max_size=80),
)
def test_nothing_a_producer_can_write_makes_the_decision_fail(
    changes: dict[str, Any], cut: int, timestamp_ms: int, header: bytes | None
) -> None:
    value = request_json(**{name: change for name, change in changes.items() if portable(change)})
    delivered = record(
        value[: len(value) - cut] if cut < 40 else value,
        timestamp_ms=timestamp_ms,
        headers=(("authorization", header), ("traceparent", header), ("ce_time", header)),
    )

    outcome = decide(delivered, view(Stateless(), control=LOCKED, delivery=delivered))

    assert not isinstance(outcome, Park)
    for sent in outcome.records if isinstance(outcome, Forward) else ():
        assert sent.topic.events is not None
        sent.topic.events.decode(sent.event.encode())
    requester = STAGE.requester(delivered)
    assert requester is None or requester.ticket.tenant_id is None


def portable(value: object) -> bool:
    """Whether the test's own JSON writer can write it."""
    try:
        return bool(request_json(task=value))
    except TypeError:
        return False


def test_the_delivery_is_the_event() -> None:
    delivered: Delivery = record(b"anything")

    assert STAGE.parse(STAGE.reads[0], delivered) is delivered


def test_a_tenants_default_bounds_answers_of_requests_that_name_no_bound() -> None:
    bounded = control(tenant(default_max_tokens=700))

    unnamed = accepted(request_json(), configured=bounded)
    named = accepted(request_json(params={"max_tokens": 9}), configured=bounded)

    assert [prompt_of(each.prompt).params.max_tokens for each in (unnamed, named)] == [700, 9]
    assert unnamed.summary is not None
    assert unnamed.summary.max_tokens == 700
    assert prompt_of(accepted(request_json()).prompt).params.max_tokens is None

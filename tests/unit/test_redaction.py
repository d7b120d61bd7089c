"""What is taken out of a prompt is nowhere behind it, and is back in the answer."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.base import load_json
from schemas.content import Entity, Redaction
from schemas.flow import Accepted, Refused
from schemas.prompt import AssistantMessage
from schemas.request import Request
from schemas.response import FunctionCall, Output, ToolCall
from streams.content.guard import restored
from streams.content.redaction import MOST_GROWTH, Redactor, mask, redact_request, restore
from streams.questions import prompt_of
from streams.runtime.outcome import Outcome
from streams.runtime.stage import Stateless
from streams.stages import validate
from tests.unit.examples import control, delivery, forwarded, request_json, tenant, view

pytestmark = pytest.mark.filterwarnings("ignore:open_binary is deprecated:DeprecationWarning")

ALL: tuple[Entity, ...] = get_args(Entity)
VALUES = (
    "ada@example.org",
    "jörg@müller.de",
    "+49 30 1234567",
    "(212) 555-0147",
    "4111 1111 1111 1111",
    "DE89 3704 0044 0532 0130 00",
    "536-90-4399",
    "203.0.113.77",
    "AKIAIOSFODNN7EXAMPLE",
    "-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----",
)
words = st.text(alphabet=st.characters(codec="utf-8", categories=("L", "P", "Z", "N", "S")), max_size=12)
texts = st.lists(
    words | st.sampled_from((*VALUES, "[EMAIL_1]", "email_2", "[PHONE 1]", "\\[EMAIL\\_1\\]")), max_size=12
).map(" ".join)


def of(*messages: dict[str, Any], **fields: Any) -> Request:
    return Request.decode(request_json(messages=list(messages), **fields))


def said(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


@given(texts)
def test_what_is_taken_out_and_put_back_is_what_was_there(text: str) -> None:
    request = of(said(text or "?"))
    redacted, mapping = redact_request(request, ALL)
    assert restore(str(redacted.messages[0].content), mapping) == (text or "?")


@given(st.lists(st.sampled_from(VALUES), min_size=1, max_size=6), words)
def test_nothing_of_a_value_is_left(values: list[str], between: str) -> None:
    text = f" {between} ".join(("", *values, ""))
    redacted, mapping = redact_request(of(said(text)), ALL)
    written = str(redacted.messages[0].content)
    for value in values:
        assert value not in written
    taken_out = "\n".join(mapping.values())
    assert all(value in taken_out for value in values)


def test_the_same_value_has_the_same_placeholder_throughout_a_request() -> None:
    request = of(said("ada@x.org, bob@x.org"), {"role": "assistant", "content": "bob@x.org?"}, said("ada@x.org!"))
    redacted, mapping = redact_request(request, ("email",))
    assert [each.content for each in redacted.messages] == ["[EMAIL_1], [EMAIL_2]", "[EMAIL_2]?", "[EMAIL_1]!"]
    assert mapping == {"[EMAIL_1]": "ada@x.org", "[EMAIL_2]": "bob@x.org"}


def test_a_placeholder_that_the_request_spells_itself_comes_to_stand_for_nothing() -> None:
    redacted, mapping = redact_request(of(said("Say [email 1] to ada@x.org")), ("email",))
    assert redacted.messages[0].content == "Say [email 1] to [EMAIL_2]"
    assert restore("[EMAIL_1] [EMAIL_2]", mapping) == "[EMAIL_1] ada@x.org"


def test_all_that_people_and_tools_say_is_looked_at_and_the_protocol_is_left_alone() -> None:
    called = {"id": "call-1", "function": {"name": "mail", "arguments": '{"to": "ada@x.org", "tel": 15550109999}'}}
    request = of(
        {"role": "system", "content": "You serve ada@x.org.", "name": "ada"},
        {"role": "user", "content": [{"type": "text", "text": "Mail ada@x.org"}]},
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "content": "sent to ada@x.org", "tool_call_id": "call-1"},
        params={
            "stop": ["ada@x.org"],
            "tools": [{"type": "function", "function": {"name": "mail", "description": "as ada@x.org"}}],
        },
    )
    redacted, mapping = redact_request(request, ("email",))
    assert mapping == {"[EMAIL_1]": "ada@x.org"}
    assert b"ada@x.org" not in redacted.encode()
    assert b'"name":"mail"' in redacted.encode()
    assert b'"tool_call_id":"call-1"' in redacted.encode()
    (_, _, assistant, _) = redacted.messages
    assert isinstance(assistant, AssistantMessage)
    assert load_json(assistant.tool_calls[0].function.arguments) == {"to": "[EMAIL_1]", "tel": 15550109999}


def test_an_image_is_no_text() -> None:
    image = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg=="
    request = of(
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": image}}, {"type": "text", "text": "a@b.cc"}],
        }
    )
    assert image.encode() in redact_request(request, ALL)[0].encode()


def test_a_request_without_any_is_not_touched() -> None:
    request = of(said("Is it ripe?"))
    assert redact_request(request, ALL) == (request, {})


@pytest.mark.parametrize(
    ("written", "back"),
    [
        ("[EMAIL_1]", "a@b.cc"),
        ("[email_1]", "a@b.cc"),
        ("[Email 1]", "a@b.cc"),
        ("<EMAIL_1>", "a@b.cc"),
        ("{EMAIL-1}", "a@b.cc"),
        ("\\[EMAIL\\_1\\]", "a@b.cc"),
        ("**EMAIL_1**", "**a@b.cc**"),
        ("(EMAIL_1)", "(a@b.cc)"),
        ("EMAIL_1's", "a@b.cc's"),
        ("【EMAIL_1】", "a@b.cc"),
        ("Email 1: the first", "Email 1: the first"),
        ("MY_EMAIL_1", "MY_EMAIL_1"),
        ("EMAIL_12", "EMAIL_12"),
        ("[EMAIL_2]", "[EMAIL_2]"),
        ("[EMAIL_01]", "a@b.cc"),
    ],
)
def test_a_placeholder_is_known_again_as_models_write_it(written: str, back: str) -> None:
    assert restore(written, {"[EMAIL_1]": "a@b.cc"}) == back


def test_json_stays_json_when_a_value_of_several_lines_comes_back() -> None:
    key = '-----BEGIN PRIVATE KEY-----\nMII"E\n-----END PRIVATE KEY-----'
    mapping = {"[SECRET_1]": key}
    call = ToolCall(id="1", function=FunctionCall(name="f", arguments='{"key": "[SECRET_1]"}'))
    output = restored(Output(content='{"key": "[SECRET_1]"}', tool_calls=(call,)), mapping)
    assert load_json(output.content or "") == {"key": key}
    assert load_json(output.tool_calls[0].function.arguments) == {"key": key}
    assert restored(Output(content="key: [SECRET_1]"), mapping).content == f"key: {key}"


def test_what_a_model_says_is_masked_for_good() -> None:
    assert mask("ask ada@x.org or +49 30 1234567", ("email", "phone")) == "ask [EMAIL] or [PHONE]"


@given(texts, texts)
def test_redacting_is_the_same_whatever_it_is_cut_into(first: str, second: str) -> None:
    redactor = Redactor(ALL, frozenset())
    again = Redactor(ALL, frozenset())
    assert [redactor.redacted(first), redactor.redacted(second)] == [again.redacted(first), again.redacted(second)]


def validated(redaction: Redaction | None, **fields: Any) -> Accepted:
    value = request_json(**fields)
    outcome: Outcome = validate.decide(
        delivery(value), view(Stateless(), control=control(tenant(redaction=redaction)), delivery=delivery(value))
    )
    (record,) = forwarded(outcome)
    assert isinstance(record.event, Accepted)
    return record.event


def test_no_byte_of_a_value_goes_on_from_validate_unless_it_is_to_be_put_back() -> None:
    event = validated(Redaction(entities=("email",)), messages=[said("Mail ada@example.org")])
    assert b"ada@example.org" not in event.encode()
    assert prompt_of(event.prompt).messages[0].content == "Mail [EMAIL_1]"
    assert event.ticket.redacted is None


def test_what_is_to_be_put_back_travels_on_the_ticket_and_in_no_prompt() -> None:
    event = validated(Redaction(entities=("email",), restore=True), messages=[said("Mail ada@example.org")])
    assert event.ticket.redacted == {"[EMAIL_1]": "ada@example.org"}
    assert b"ada@example.org" not in bytes(event.prompt)


def test_equal_questions_about_different_people_are_one_question_to_the_cache() -> None:
    rules = Redaction(entities=("email",), restore=True)
    one, other = (validated(rules, messages=[said(f"Is {who}@x.org an address?")]) for who in ("ada", "bob"))
    assert one.summary == other.summary
    assert one.ticket.redacted != other.ticket.redacted


def test_nothing_is_taken_out_of_a_prompt_where_only_answers_are_meant() -> None:
    event = validated(Redaction(entities=("email",), of="answer"), messages=[said("Mail ada@example.org")])
    assert prompt_of(event.prompt).messages[0].content == "Mail ada@example.org"


def test_to_put_back_what_is_not_taken_out_is_refused() -> None:
    with pytest.raises(ValidationError, match="there is nothing to put back"):
        Redaction(entities=("email",), of="answer", restore=True)


def test_a_prompt_that_holds_an_export_is_refused_with_what_to_do() -> None:
    rules = control(tenant(redaction=Redaction(entities=("email",))))
    value = request_json(messages=[said("a@b.cc " * 10_001)])
    outcome = validate.decide(delivery(value), view(Stateless(), control=rules, delivery=delivery(value)))
    (record,) = forwarded(outcome)
    assert isinstance(record.event, Refused)
    failure = record.event.failure
    assert (failure.code, failure.field) == ("request_too_large", "messages")
    assert "send it in parts" in failure.message


def test_a_long_value_that_is_named_again_and_again_is_not_put_back() -> None:
    mapping = {"[SECRET_1]": "k" * 1_000}
    fits, grows = MOST_GROWTH // 1_000, MOST_GROWTH // 1_000 + 1

    assert restore("[SECRET_1]" * fits, mapping) == "k" * 1_000 * fits
    assert restore("[SECRET_1]" * grows, mapping) == "[SECRET_1]" * grows

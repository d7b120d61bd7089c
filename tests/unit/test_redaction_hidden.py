"""A value is found however it is written: in JSON's escapes, as a number, as a name, with characters nobody sees."""

import json
import time
from typing import Any, cast, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.base import dump_json, load_json
from schemas.content import ContentRule, Entity, Redaction
from schemas.prompt import AssistantMessage
from schemas.request import Request
from schemas.response import FunctionCall, Output, ToolCall
from streams.content.entities import TooManyError
from streams.content.guard import Guard, guard_of, restored
from streams.content.json_text import in_json
from streams.content.redaction import mask, mask_arguments, redact_request, restore
from tests.unit.examples import control, request_json, tenant, ticket

pytestmark = pytest.mark.filterwarnings("ignore:open_binary is deprecated:DeprecationWarning")

ALL: tuple[Entity, ...] = get_args(Entity)
CARD = 4111111111111111
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8) | st.sampled_from(["a@b.cc", "é\n"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


def of(*messages: dict[str, Any], **fields: Any) -> Request:
    return Request.decode(request_json(messages=list(messages), **fields))


def said(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def tool(**schema: Any) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}]}


def guard(*rules: ContentRule, redaction: Redaction | None = None) -> Guard:
    found = guard_of(control(tenant(content_rules=rules, redaction=redaction)), ticket())
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("arguments", "masked"),
    [
        (r'{"to": "max\u0040example.org"}', '{"to":"[EMAIL]"}'),
        (r'{"text": "call\n+49 30 1234567"}', r'{"text":"call\n[PHONE]"}'),
        (r'{"text": "call\n030 1234567\nnow"}', r'{"text":"call\n[PHONE]\nnow"}'),
        ('{"card": 4111111111111111, "n": 1.50}', '{"card":"[CREDIT_CARD]","n":1.50}'),
        ('{"a@b.cc": 1, "c@d.ee": 2}', '{"[EMAIL]":1,"[EMAIL] (2)":2}'),
        ('{"[EMAIL]": 0, "a@b.cc": 1}', '{"[EMAIL]":0,"[EMAIL] (2)":1}'),
        ('[{"a@b.cc": 1}, {"c@d.ee": 2}]', '[{"[EMAIL]":1},{"[EMAIL]":2}]'),
        (r'{"inner": "{\"to\": \"max\\u0040example.org\"}"}', r'{"inner":"{\"to\": \"[EMAIL]\"}"}'),
        (r'"max\u0040example.org"', '"[EMAIL]"'),
        (
            '{"id": 123456789012345678901234567890, "to": "a@b.cc"}',
            '{"id":123456789012345678901234567890,"to":"[EMAIL]"}',
        ),
        ('{"to": "a@b.cc"', '{"to": "[EMAIL]"'),
    ],
)
def test_what_a_tool_is_called_with_is_read_as_json_and_stays_json(arguments: str, masked: str) -> None:
    assert mask_arguments(arguments, ALL) == masked


@pytest.mark.parametrize(
    "text", [r'{ "a":  "\u00e9 \/", "n": 1.0e2 }', '[1, "x"]', "{", '{"a": 1, "a": 2}', "[EMAIL_1]: hi"]
)
def test_what_holds_nothing_is_as_it_was_to_the_byte(text: str) -> None:
    assert mask_arguments(text, ALL) == text
    assert mask(text, ALL) == text


@given(JSON)
def test_json_whose_strings_are_changed_is_json_of_the_same_shape(value: Any) -> None:
    def marked(inner: Any) -> Any:
        if isinstance(inner, list):
            return [marked(each) for each in cast("list[Any]", inner)]
        if isinstance(inner, dict):
            return {marked(key): marked(each) for key, each in cast("dict[str, Any]", inner).items()}
        return inner.replace("a@b.cc", "*") if isinstance(inner, str) else inner

    written = in_json(dump_json(value).decode(), lambda text: text.replace("a@b.cc", "*"))
    assert load_json(written) == marked(value)


@given(
    st.lists(
        st.sampled_from(
            ("ada@x.org", "+49 30 1234567", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "203.0.113.77")
        )
        | st.sampled_from(
            ("::1:2:3", "2001:db8::1", "536-90-4399", "030 1234567", "x", "12:30", "AKIAIOSFODNN7EXAMPLE")
        )
        | st.integers(0, 10**19)
        | st.just(CARD)
        | st.text("0123456789+-:. /()aF\n@", max_size=12),
        max_size=5,
    ),
    st.sampled_from([(",", ":"), (", ", ": "), (",\n", " : ")]),
)
def test_one_look_at_the_whole_misses_nothing_that_is_in_a_string(
    values: list[Any], separators: tuple[str, str]
) -> None:
    text = json.dumps({f"k{n}": value for n, value in enumerate(values)}, separators=separators)
    one_by_one = {
        f"k{n}": value if mask(str(value), ALL) == str(value) else mask(str(value), ALL)
        for n, value in enumerate(values)
    }
    assert load_json(mask(text, ALL)) == one_by_one


def test_contents_and_results_that_are_json_are_read_as_json() -> None:
    result = {
        "role": "tool",
        "content": r'{"mail": "max\u0040example.org", "card": 4111111111111111}',
        "tool_call_id": "1",
    }
    called = {"id": "1", "function": {"name": "f", "arguments": r'{"to": "max\u0040example.org"}'}}
    request = of(said("Who?"), {"role": "assistant", "content": None, "tool_calls": [called]}, result)

    redacted, mapping = redact_request(request, ALL)

    _, assistant, tool_said = redacted.messages
    assert mapping == {"[EMAIL_1]": "max@example.org", "[CREDIT_CARD_1]": str(CARD)}
    assert isinstance(assistant, AssistantMessage)
    assert assistant.tool_calls[0].function.arguments == '{"to":"[EMAIL_1]"}'
    assert load_json(str(tool_said.content)) == {"mail": "[EMAIL_1]", "card": "[CREDIT_CARD_1]"}


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("ada\u200b@exam\u00adple.org!", "[EMAIL]!"),
        ("ada@\ufeffexample.org", "[EMAIL]"),
        ("+49 \u206030 123\u200b4567", "[PHONE]"),
        ("+49\u00a030\u202f1234567", "[PHONE]"),
        ("Card 4111\u00a01111\u00a01111\u00a01111.", "Card [CREDIT_CARD]."),
        ("4111\u20111111\u20111111\u20111111", "[CREDIT_CARD]"),
        ("4111.1111.1111.1111", "[CREDIT_CARD]"),
        ("４１１１ 1111 1111 1111", "[CREDIT_CARD]"),
        ("DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000", "[IBAN]"),
        ("de89-3704-0044-0532-0130-00", "[IBAN]"),
        ("de89370400440532013000,", "[IBAN],"),
        ("mia＠example．org", "[EMAIL]"),
        ("Paid in2024 the price of 1\u00a0234\u00a0567 EUR", "Paid in2024 the price of 1\u00a0234\u00a0567 EUR"),
        ('As said: ```{"to": "max\\u0040example.org"}```', 'As said: ```{"to": "[EMAIL]"}```'),
        (r"{'to': 'x\nada@x.org'}", r"{'to': 'x\n[EMAIL]'}"),
        ("re\u200bad: nothing", "re\u200bad: nothing"),
        (r"C:\new\users", r"C:\new\users"),
    ],
)
def test_what_is_hidden_in_a_text_is_found(text: str, masked: str) -> None:
    assert mask(text, ALL) == masked


def test_what_was_hidden_comes_back_as_it_was_written() -> None:
    text = "Ask ada\u200b@example.org, or max\\u0040example.org."
    redacted, mapping = redact_request(of(said(text)), ALL)
    assert redacted.messages[0].content == "Ask [EMAIL_1], or [EMAIL_2]."
    assert restore(str(redacted.messages[0].content), mapping) == text


@given(st.text(alphabet=st.sampled_from('a@b.c1 \\nu0040\u200b"{}é+4'), max_size=40))
def test_whatever_is_hidden_where_what_is_taken_out_and_put_back_is_what_was_there(text: str) -> None:
    redacted, mapping = redact_request(of(said(text or "?")), ALL)
    back = restore(str(redacted.messages[0].content), mapping)
    try:
        assert load_json(back) == load_json(text)
    except ValueError:
        assert back == (text or "?")


def test_a_property_that_is_called_as_the_protocol_calls_something_is_looked_at() -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"const": "ada@x.org"},
            "type": {"enum": ["bob@x.org", CARD]},
            "tool_choice": {"default": {"name": "eve@x.org", "type": "joe@x.org"}},
            "ian@x.org": {"type": ["string", "null"], "maxLength": CARD},
        },
        "required": ["ian@x.org"],
    }
    request = of(said("Who?"), params=tool(**schema))

    redacted, mapping = redact_request(request, ALL)

    assert set(mapping.values()) == {"ada@x.org", "bob@x.org", "eve@x.org", "joe@x.org", "ian@x.org", str(CARD)}
    (described,) = redacted.params.tools
    written: Any = described.function.parameters
    assert b"@" not in dump_json(written)
    placeholder = {value: name for name, value in mapping.items()}
    assert written["required"] == [placeholder["ian@x.org"]]
    assert written["properties"][placeholder["ian@x.org"]] == {"type": ["string", "null"], "maxLength": CARD}
    assert written["properties"]["type"]["enum"] == [placeholder["bob@x.org"], placeholder[str(CARD)]]
    assert described.function.name == "f"


def test_a_reference_leads_where_its_redacted_definition_is() -> None:
    schema = {"$defs": {"ada@x.org": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/ada@x.org"}}}
    redacted, _ = redact_request(of(said("Who?"), params=tool(**schema)), ("email",))
    assert redacted.params.tools[0].function.parameters == {
        "$defs": {"[EMAIL_1]": {"type": "string"}},
        "properties": {"a": {"$ref": "#/$defs/[EMAIL_1]"}},
    }


def test_what_the_protocol_calls_things_by_is_no_word_of_a_prompt() -> None:
    forbidding = guard(ContentRule(name="no-words", words=("object", "f", "function", "auto", "string", "answer")))
    schema = {"type": "object", "properties": {"a": {"type": ["string", "null"]}}}
    shape = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    params = {**tool(**schema), "tool_choice": "auto", "response_format": shape}
    assert isinstance(forbidding.let_in(of(said("Who?"), params=params)), tuple)


def test_a_forbidden_word_is_found_in_escapes_and_with_characters_nobody_sees() -> None:
    masking = guard(ContentRule(name="no-recipes", words=("thyme",), on="answer", action="mask"))
    call = ToolCall(id="1", function=FunctionCall(name="f", arguments=r'{"of": "th\u0079me"}'))
    let_out = masking.let_out(Output(content="Take th\u200byme.", tool_calls=(call,)))
    assert let_out.output.content == "Take [REMOVED]."
    assert let_out.output.tool_calls[0].function.arguments == '{"of":"[REMOVED]"}'


def test_what_a_pattern_finds_between_the_strings_of_json_is_taken_out_all_the_same() -> None:
    masking = guard(ContentRule(name="no-admins", patterns=('"role": "admin"',), on="answer", action="mask"))
    assert masking.let_out(Output(content='{"role": "admin"}')).output.content == "{[REMOVED]}"


def test_values_in_json_are_counted_together() -> None:
    export = "[" + ",".join(['"a@b.cc"'] * 10_001) + "]"
    with pytest.raises(TooManyError):
        mask(export, ALL)
    with pytest.raises(TooManyError):
        redact_request(of(said(export)), ALL)


def test_a_number_that_was_taken_out_comes_back_as_text() -> None:
    output = restored(Output(content='{"card": "[CREDIT_CARD_1]"}'), {"[CREDIT_CARD_1]": str(CARD)})
    assert load_json(output.content or "") == {"card": str(CARD)}


@pytest.mark.parametrize(
    "text", ["\\u0041" * 200_000, "\u200b1" * 300_000, "[" + "1," * 200_000 + "1]", '{"a@b.cc":1,' * 900]
)
def test_no_text_of_nothing_but_escapes_holds_a_worker_up(text: str) -> None:
    since_s = time.process_time()
    mask(text, ALL)
    assert time.process_time() - since_s < 20

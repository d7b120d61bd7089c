"""What each provider would refuse, and what it reads in a request it accepts."""

import pytest

from scripts.simulator import anthropic_request, openai_request
from scripts.simulator.anthropic_api import TokenCounts
from scripts.simulator.ask import Ask, Refusal, ToolChoice
from scripts.simulator.openai_embeddings import Embeddings, vector
from scripts.simulator.prices import Catalog
from scripts.simulator.shapes import Object

CATALOG = Catalog.load()
HI: Object = {"role": "user", "content": "hi"}
CALL: Object = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
RESULT: Object = {"role": "tool", "tool_call_id": "call_1", "content": "42"}
FUNCTION: Object = {"type": "function", "function": {"name": "f"}}
USE: Object = {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}]}
USED: Object = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "42"}]}
TOOL: Object = {"name": "f", "input_schema": {"type": "object"}}
FIVE_MINUTES: Object = {"type": "ephemeral"}
HOUR: Object = {"type": "ephemeral", "ttl": "1h"}


def openai(**fields: object) -> Ask | Refusal:
    body: Object = {"model": "gpt-4o", "messages": [HI], **fields}
    return openai_request.read(CATALOG, "/v1/chat/completions", body)


def anthropic(**fields: object) -> Ask | Refusal:
    body: Object = {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": [HI], **fields}
    return anthropic_request.read(
        CATALOG, "/v1/messages", {name: value for name, value in body.items() if value is not ...}, counting=False
    )


def accepted(read: Ask | Refusal) -> Ask:
    assert isinstance(read, Ask), read
    return read


def marked(*ttls: Object) -> list[Object]:
    return [{"type": "text", "text": "a", "cache_control": ttl} for ttl in ttls]


OPENAI_REFUSES: list[tuple[Object, str, str | None]] = [
    ({"messages": []}, "messages", "empty_array"),
    ({"messages": "hi"}, "messages", "invalid_type"),
    ({"messages": [{"role": "usr", "content": "hi"}]}, "messages[0].role", "invalid_value"),
    ({"messages": [HI, {"role": "user", "content": 3}]}, "messages[1].content", "invalid_type"),
    ({"messages": [{"role": "user", "content": None}]}, "messages[0].content", "invalid_type"),
    (
        {"messages": [{"role": "user", "content": [{"type": "video"}]}]},
        "messages[0].content[0].type",
        "invalid_value",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        "messages[0].content[0].image_url.url",
        "missing_required_parameter",
    ),
    ({"messages": [HI, RESULT]}, "messages[1].role", None),
    ({"messages": [HI, CALL, HI]}, "messages", None),
    ({"messages": [HI, CALL]}, "messages", None),
    ({"max_tokens": -1}, "max_tokens", "integer_below_min_value"),
    ({"max_tokens": "9"}, "max_tokens", "invalid_type"),
    ({"max_completion_tokens": 0}, "max_completion_tokens", "integer_below_min_value"),
    ({"max_tokens": 9, "max_completion_tokens": 9}, "max_tokens", "invalid_parameter_combination"),
    ({"temperature": 2.5}, "temperature", "decimal_above_max_value"),
    ({"top_p": -0.1}, "top_p", "decimal_below_min_value"),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "array_above_max_length"),
    ({"stop": 3}, "stop", "invalid_type"),
    ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name", "missing_required_parameter"),
    ({"tool_choice": "required"}, "tool_choice", None),
    (
        {"tools": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": "g"}}},
        "tool_choice",
        None,
    ),
    ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
    ({"response_format": {"type": "json_object"}}, "messages", None),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}},
        "response_format.json_schema.schema",
        "missing_required_parameter",
    ),
    ({"stream_options": {"include_usage": True}}, "stream_options", None),
    ({"n": 2}, "n", "invalid_value"),
    ({"model": "o4-mini", "max_tokens": 9}, "max_tokens", "unsupported_parameter"),
    ({"model": "gpt-5", "temperature": 0.2}, "temperature", "unsupported_value"),
    ({"model": "gpt-5", "stop": "x"}, "stop", "unsupported_parameter"),
]
ANTHROPIC_REFUSES: list[tuple[Object, str]] = [
    ({"max_tokens": ...}, "max_tokens: Field required"),
    ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
    ({"messages": ...}, "messages: Field required"),
    ({"messages": []}, "messages: at least one message is required"),
    ({"messages": [{"role": "system", "content": "hi"}]}, 'messages: Unexpected role "system"'),
    ({"messages": [{"role": "usr", "content": "hi"}]}, "messages.0.role: Input should be 'user' or 'assistant'"),
    ({"messages": [{"role": "user", "content": ""}]}, "messages.0: all messages must have non-empty content"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}, "messages: text content blocks"),
    ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages.0.content.0: Input tag 'video'"),
    ({"messages": [HI, USE, HI]}, "messages.2: `tool_use` ids were found without"),
    ({"messages": [HI, USE]}, "messages: `tool_use` ids were found without"),
    ({"messages": [USED]}, "messages.0: unexpected `tool_use_id` found"),
    ({"temperature": 1.5}, "temperature: range: 0..1"),
    ({"stop_sequences": [" "]}, "stop_sequences: each stop sequence"),
    ({"tools": [{"name": "f"}]}, "tools.0.custom.input_schema: Field required"),
    ({"tool_choice": {"type": "any"}}, "tool_choice may only be specified"),
    ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "g"}}, "Tool 'g' not found"),
    ({"thinking": {"type": "enabled", "budget_tokens": 9}}, "thinking.enabled.budget_tokens"),
    ({"thinking": {"type": "enabled", "budget_tokens": 2_000}}, "`max_tokens` must be greater than"),
    ({"system": marked(*[FIVE_MINUTES] * 5)}, "A maximum of 4 blocks with cache_control"),
    ({"system": marked(FIVE_MINUTES, HOUR)}, "a ttl='1h' cache_control block must not come after"),
    ({"model": ...}, "model: Field required"),
]


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    OPENAI_REFUSES,
)
def test_openai_names_the_parameter_it_refuses(fields: Object, param: str, code: str | None) -> None:
    refusal = openai(**fields)
    assert isinstance(refusal, Refusal), refusal
    assert (refusal.status, refusal.param, refusal.code) == (400, param, code)


def test_openai_refuses_a_prompt_longer_than_the_context() -> None:
    refusal = openai(messages=[{"role": "user", "content": "word " * 130_000}])
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code) == (400, "context_length_exceeded")


def test_a_model_of_the_other_provider_or_of_another_endpoint_is_unknown() -> None:
    for name in ("claude-haiku-4-5", "gpt-9", "text-embedding-3-small"):
        refusal = openai(model=name)
        assert isinstance(refusal, Refusal)
        assert (refusal.status, refusal.kind) == (404, "unknown_model")


def test_a_reasoning_model_told_not_to_think_takes_sampling_parameters() -> None:
    assert accepted(openai(model="gpt-5.1", temperature=0.2)).effort == "none"
    assert isinstance(openai(model="gpt-5.1", temperature=0.2, reasoning_effort="low"), Refusal)


def test_openai_counts_three_tokens_a_message_its_role_and_three_for_the_answer() -> None:
    assert accepted(openai()).prompt.total == (3 + 1 + 1) + 3
    assert accepted(openai(messages=[{"role": "system", "content": "Be brief."}, HI])).prompt.total == (
        (3 + 1 + 3) + (3 + 1 + 1) + 3
    )


def test_pictures_are_counted_by_their_detail() -> None:
    def prompt(detail: str) -> int:
        image: Object = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": detail}}
        return accepted(openai(messages=[{"role": "user", "content": [image]}])).prompt.total

    assert (prompt("low"), prompt("high")) == (85 + 7, 765 + 7)


@pytest.mark.parametrize(
    ("choice", "read"),
    [
        ("none", ToolChoice("none")),
        ("auto", ToolChoice("auto")),
        ("required", ToolChoice("required")),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice("required", "f")),
    ],
)
def test_openai_tool_choices_are_read(choice: object, read: ToolChoice) -> None:
    assert accepted(openai(tools=[FUNCTION], tool_choice=choice)).choice == read


def test_an_answered_tool_call_is_accepted_and_known_to_be_answered() -> None:
    ask = accepted(openai(messages=[HI, CALL, RESULT], tools=[FUNCTION]))
    assert ask.answering_tools
    assert ask.text == "hi"


@pytest.mark.parametrize(
    ("fields", "complaint"),
    ANTHROPIC_REFUSES,
)
def test_anthropic_says_what_is_wrong(fields: Object, complaint: str) -> None:
    refusal = anthropic(**fields)
    assert isinstance(refusal, Refusal), refusal
    assert refusal.status == 400
    assert refusal.message.startswith(complaint)


def test_anthropic_refuses_a_prompt_longer_than_the_context() -> None:
    refusal = anthropic(system="word " * 210_000)
    assert isinstance(refusal, Refusal)
    assert refusal.message.startswith("prompt is too long: 2")


def test_counting_tokens_needs_no_answer_limit() -> None:
    read = TokenCounts(CATALOG).read(
        {b"anthropic-version": b"2023-06-01"}, {"model": "claude-opus-5", "messages": [HI]}
    )
    assert accepted(read).prompt.total == 8


def test_a_request_without_a_version_is_refused() -> None:
    refusal = TokenCounts(CATALOG).read({}, {"model": "claude-opus-5", "messages": [HI]})
    assert isinstance(refusal, Refusal)
    assert refusal.message == "anthropic-version: header is required"


def test_marks_are_read_wherever_they_may_stand() -> None:
    ask = accepted(
        anthropic(
            tools=[{**TOOL, "cache_control": HOUR}],
            system=marked(HOUR),
            messages=[{"role": "user", "content": marked(FIVE_MINUTES)}],
            cache_control=FIVE_MINUTES,
        )
    )
    assert [block.cache_ttl_s for block in ask.prompt.blocks] == [3_600, 3_600, 0, 300, 0]


@pytest.mark.parametrize("value", ["", [], [""], [1, 2], None, {"a": 1}])
def test_embeddings_take_texts_only(value: object) -> None:
    read = Embeddings(CATALOG).read({}, {"model": "text-embedding-3-small", "input": value})
    assert isinstance(read, Refusal)
    assert read.param == "input"


def test_vectors_have_length_one_and_texts_that_share_words_are_close() -> None:
    def likeness(left: str, right: str) -> float:
        return sum(a * b for a, b in zip(vector(left, 1_536), vector(right, 1_536), strict=True))

    question = "how do I reset my password"
    assert likeness(question, question) == pytest.approx(1, abs=1e-5)
    assert likeness(question, "how can I reset my password") > 0.5
    assert abs(likeness(question, "rivers in winter")) < 0.2

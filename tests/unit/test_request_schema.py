"""What a producer may send, and what is said about what it may not."""

import base64
import json
from typing import Any, get_args

import jsonschema_rs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.complaint import complaint
from schemas.json_schema import contracts
from schemas.prompt import IMAGE_SIGNATURES
from schemas.request import CacheMode, Priority, Request

Json = dict[str, Any]

PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
TOO_BIG = 2**63
PUBLISHED = jsonschema_rs.validator_for(contracts()["request"].schema)


def request(**changes: Any) -> Json:
    return {
        "request_id": "r-1",
        "tenant_id": "acme",
        "messages": [{"role": "user", "content": "Is it ripe?"}],
        **changes,
    }


def saying(content: Any, role: str = "user") -> Json:
    return request(messages=[{"role": role, "content": content}])


def image(url: str) -> Json:
    return saying([{"type": "image_url", "image_url": {"url": url}}])


def tool(**changes: Any) -> Json:
    return request(params={"tools": [{"function": {"name": "weather_on", **changes}}]})


def without(field: str) -> Json:
    return {key: value for key, value in request().items() if key != field}


REFUSALS: list[tuple[str, Json, str, str]] = [
    ("a misspelt field", request(modle="gpt"), "modle", "is not a known field: did you mean model?"),
    ("an unknown field", request(colour=1), "colour", "is not a known field: remove it"),
    (
        "a wrong role",
        saying("x", "usr"),
        "messages.0.role",
        "must be one of 'system', 'developer', 'user', 'assistant'",
    ),
    ("no role", request(messages=[{"content": "x"}]), "messages.0.role", "is required: add it"),
    ("a message that is text", request(messages=["x"]), "messages.0", "must be an object"),
    ("a long id", request(request_id="x" * 300), "request_id", "must have at most 128 characters"),
    ("an empty id", request(request_id=""), "request_id", "must not be empty"),
    ("control characters in an id", request(request_id="a\x00b"), "request_id", "must not hold control characters"),
    ("a newline in a user id", request(user_id="a\nb"), "user_id", "must not hold control characters"),
    ("no id", without("request_id"), "request_id", "is required: add it"),
    ("no tenant", without("tenant_id"), "tenant_id", "is required: add it"),
    ("a tenant that is a path", request(tenant_id="a/b"), "tenant_id", "hold only letters, digits and . _ -"),
    ("a model that is an address", request(model="http://10.0.0.1/?k=v"), "model", "hold only letters, digits and"),
    ("no messages", request(messages=[]), "messages", "must not be empty"),
    ("messages that are one", request(messages={"role": "user"}), "messages", "must be a list"),
    ("content that is a number", saying(5), "messages.0.content", "must be text or a list"),
    ("an unknown part", saying([{"type": "audio"}]), "messages.0.content.0.type", "must be one of 'text', 'image_url'"),
    (
        "an image for the system",
        saying([{"type": "image_url"}], "system"),
        "messages.0.content.0.type",
        "must be 'text'",
    ),
    ("an image address", image("https://x.test/a.png"), "messages.0.content.0.image_url.url", "are not fetched"),
    ("a file address", image("file:///etc/passwd"), "messages.0.content.0.image_url.url", "must be an inline image"),
    (
        "an image that is not base64",
        image("data:image/png;base64,@@@@"),
        "messages.0.content.0.image_url.url",
        "base64",
    ),
    (
        "an image of no known kind",
        image("data:text/html;base64,AAAA"),
        "messages.0.content.0.image_url.url",
        "image/png",
    ),
    ("text that says png", image("data:image/png;base64,AAAA"), "messages.0.content.0.image_url.url", "bytes are not"),
    ("negative max_tokens", request(params={"max_tokens": -1}), "params.max_tokens", "must be at least 1, not -1"),
    ("a hot temperature", request(params={"temperature": 3}), "params.temperature", "must be at most 2, not 3"),
    (
        "no number",
        request(params={"temperature": float("nan")}),
        "params.temperature",
        "must be a finite number, not nan",
    ),
    ("no end of it", request(params={"top_p": float("-inf")}), "params.top_p", "must be a finite number, not -inf"),
    ("a seed of 64 bits", request(params={"seed": TOO_BIG}), "params.seed", f"must be less than {TOO_BIG}"),
    ("a stop that is text", request(params={"stop": "END"}), "params.stop", "must be a list"),
    ("five stops", request(params={"stop": list("abcde")}), "params.stop", "must hold at most 4 items"),
    ("a tool's bad name", tool(name="rain today?"), "params.tools.0.function.name", "must be 1 to 64 letters"),
    ("a huge bound", tool(parameters={"maximum": TOO_BIG**2}), "params.tools.0.function.parameters", "64 bits"),
    (
        "a tool_choice of no kind",
        request(params={"tool_choice": "some"}),
        "params.tool_choice",
        "must be 'none', 'auto'",
    ),
    (
        "a tool_choice without a name",
        request(params={"tool_choice": {"type": "function", "function": {}}}),
        "params.tool_choice.function.name",
        "is required: add it",
    ),
    (
        "a format of no kind",
        request(params={"response_format": {"type": "yaml"}}),
        "params.response_format.type",
        "must be one of 'text', 'json_object', 'json_schema', not 'yaml'",
    ),
    (
        "a format without its schema",
        request(params={"response_format": {"type": "json_schema", "json_schema": {"name": "grading"}}}),
        "params.response_format.json_schema.schema",
        "is required: add it",
    ),
    (
        "a priority of no kind",
        request(priority="urgent"),
        "priority",
        "must be 'high', 'normal' or 'low', not 'urgent'",
    ),
    ("a deadline in fractions", request(deadline_ms=1.5), "deadline_ms", "must be a whole number, not 1.5"),
    (
        "too many labels",
        request(labels=dict.fromkeys(map(str, range(17)), "v")),
        "labels",
        "must hold at most 16 items",
    ),
    ("a label that is a number", request(labels={"feature": 5}), "labels.feature", "must be text, not 5"),
    ("a label's bad key", request(labels={"my key": "v"}), "labels", "a key of labels must start with"),
    ("a label's long value", request(labels={"a-b": "v" * 257}), "labels", "an entry of labels must have at most 256"),
    ("a version of the future", request(schema_version=2, new=1), "schema_version", "must be 1, not 2"),
]


def refuse(body: Json) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        Request.decode(json.dumps(body).encode())
    return caught.value


@pytest.mark.parametrize(
    ("body", "field", "words"), [case[1:] for case in REFUSALS], ids=[case[0] for case in REFUSALS]
)
def test_a_bad_request_is_told_which_field_and_what_to_do(body: Json, field: str, words: str) -> None:
    found = complaint(refuse(body))
    assert found.field == field
    assert words in found.message
    assert field in found.message


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"", "is not readable JSON (EOF while parsing a value at line 1 column 0)"),
        (b"{", "send one JSON object per record"),
        (b"\xff", "is not readable JSON"),
        (b'{"request_id": "\\ud800"}', "is not readable JSON"),
        (b"[" * 5000, "recursion limit"),
        (b"[" * 5000, "the event is nested too deeply ("),
        (b'{"params": ' * 300, "send fewer objects and lists in one another"),
        (b"[]", "the event must be an object"),
        (b"null", "the event must be an object"),
    ],
)
def test_what_is_no_json_object_is_told_so(value: bytes, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Request.decode(value)
    assert complaint(caught.value).field is None
    assert words in complaint(caught.value).message


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"123456789012345678901234567890"])
def test_a_number_that_would_not_survive_being_written_again_is_refused(number: bytes) -> None:
    body = orjson.dumps(tool(parameters={"maximum": 4096})).replace(b"4096", number)
    with pytest.raises(ValidationError) as caught:
        Request.decode(body)
    assert complaint(caught.value).field == "params.tools.0.function.parameters"


def test_a_request_of_three_fields_has_all_the_defaults_written_out_by_the_next_stage() -> None:
    read = Request.decode(orjson.dumps(request()))
    assert (read.model, read.priority, read.cache, read.stream, read.labels) == ("auto", "normal", "default", False, {})
    assert orjson.loads(read.encode()).keys() == Request.model_fields.keys()


@pytest.mark.parametrize(("media_type", "signatures"), IMAGE_SIGNATURES.items())
def test_an_image_of_each_kind_is_taken_as_it_is(media_type: str, signatures: tuple[bytes, ...]) -> None:
    for signature in signatures:
        url = f"data:{media_type};base64,{base64.b64encode(signature + b'pixels').decode()}"
        assert url.encode() in Request.decode(orjson.dumps(image(url))).encode()


ONLY_THE_BYTES_SHOW = {"an image that is not base64", "text that says png", "a huge bound"}


def test_the_published_schema_refuses_what_we_refuse_except_what_only_the_bytes_show() -> None:
    accepted = {name for name, body, _, _ in REFUSALS if PUBLISHED.is_valid(body)}
    assert accepted == ONLY_THE_BYTES_SHOW


words = st.text(st.characters(codec="utf-8"), max_size=20)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:@/-]{0,20}", fullmatch=True)
label_keys = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
ids = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=128).filter(
    lambda text: any(character > " " for character in text)
)
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(words, json_values, max_size=3)
function_names = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)


def record(required: dict[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries(required, optional=optional)


text_parts = record({"type": st.just("text"), "text": words})
image_parts = record(
    {"type": st.just("image_url"), "image_url": record({"url": st.just(PNG)}, detail=st.sampled_from(["auto", "low"]))}
)
text_content = words | st.lists(text_parts, max_size=3)
tool_calls = record({"id": words, "function": record({"name": words, "arguments": words})})
messages = st.one_of(
    record({"role": st.sampled_from(["system", "developer"]), "content": text_content}, name=words),
    record({"role": st.just("user"), "content": words | st.lists(text_parts | image_parts, max_size=3)}, name=words),
    record({"role": st.just("assistant")}, content=text_content, tool_calls=st.lists(tool_calls, max_size=2)),
    record({"role": st.just("tool"), "content": text_content, "tool_call_id": words}),
)
formats = st.one_of(
    st.just({"type": "text"}),
    st.just({"type": "json_object"}),
    record(
        {
            "type": st.just("json_schema"),
            "json_schema": record({"name": function_names, "schema": objects}, strict=st.booleans()),
        }
    ),
)
params = record(
    {},
    temperature=st.floats(0, 2),
    max_tokens=st.integers(1, 1_000_000),
    top_p=st.floats(0, 1, exclude_min=True),
    stop=st.lists(words, max_size=4),
    seed=st.integers(-(2**63), 2**63 - 1),
    response_format=formats,
    tools=st.lists(record({"function": record({"name": function_names}, parameters=objects)}), max_size=2),
    tool_choice=st.sampled_from(["none", "auto", "required", {"type": "function", "function": {"name": "f"}}]),
)
requests = record(
    {"request_id": ids, "tenant_id": label_keys, "messages": st.lists(messages, min_size=1, max_size=4)},
    user_id=ids,
    model=names,
    task=names,
    params=params,
    priority=st.sampled_from(get_args(Priority)),
    deadline_ms=st.integers(0, 253_402_300_799_999),
    cache=st.sampled_from(get_args(CacheMode)),
    stream=st.booleans(),
    session_id=names,
    labels=st.dictionaries(label_keys, words, max_size=4),
)


@given(requests)
def test_a_request_means_the_same_after_any_number_of_hops(body: Json) -> None:
    first = Request.decode(orjson.dumps(body))
    second = Request.decode(first.encode())
    assert second == first
    assert second.encode() == first.encode()


@given(requests)
def test_what_we_accept_the_published_schema_accepts(body: Json) -> None:
    assert [str(error) for error in PUBLISHED.iter_errors(body)] == []

"""Prompts of every shape a request may have, for tests that hold something for all of them."""

import base64

from hypothesis import strategies as st

from schemas.base import JsonObject
from schemas.prompt import (
    IMAGE_SIGNATURES,
    AssistantMessage,
    FunctionCall,
    FunctionDefinition,
    ImagePart,
    ImageUrl,
    JsonObjectFormat,
    JsonSchema,
    JsonSchemaFormat,
    NamedFunction,
    NamedTool,
    Params,
    Prompt,
    SystemMessage,
    TextFormat,
    TextPart,
    Tool,
    ToolCall,
    ToolMessage,
    UserMessage,
)

words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
names = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)

SCHEMAS: tuple[JsonObject, ...] = (
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False},
    {"type": "object", "additionalProperties": {"type": "string"}},
    {"$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}}, "$ref": "#/$defs/node"},
    {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}, "null": {"const": None}}},
    {"properties": {"any": True}},
    {},
)


def _image(media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(IMAGE_SIGNATURES[media_type][0] + b'0000').decode()}"


text_parts = st.builds(TextPart, type=st.just("text"), text=words)
image_parts = st.builds(
    ImagePart,
    type=st.just("image_url"),
    image_url=st.builds(
        ImageUrl,
        url=st.sampled_from(sorted(IMAGE_SIGNATURES)).map(_image),
        detail=st.sampled_from([None, "low", "high"]),
    ),
)
texts = st.one_of(words, st.lists(text_parts, max_size=3).map(tuple))
calls = st.builds(
    ToolCall,
    id=st.sampled_from(["call_1", "toolu_2", "odd:id/3"]),
    function=st.builds(FunctionCall, name=names, arguments=st.one_of(st.just('{"city":"Bern"}'), words)),
)
messages = st.one_of(
    st.builds(SystemMessage, role=st.sampled_from(["system", "developer"]), content=texts),
    st.builds(
        UserMessage,
        role=st.just("user"),
        content=st.one_of(words, st.lists(st.one_of(text_parts, image_parts), max_size=3).map(tuple)),
        name=st.sampled_from([None, "ada"]),
    ),
    st.builds(
        AssistantMessage,
        role=st.just("assistant"),
        content=st.one_of(st.none(), texts),
        tool_calls=st.lists(calls, max_size=2).map(tuple),
    ),
    st.builds(ToolMessage, role=st.just("tool"), content=texts, tool_call_id=st.sampled_from(["call_1", "odd:id/3"])),
)
functions = st.builds(
    FunctionDefinition,
    name=names,
    description=st.one_of(st.none(), words),
    parameters=st.sampled_from(SCHEMAS),
    strict=st.sampled_from([None, True, False]),
)
formats = st.one_of(
    st.none(),
    st.just(TextFormat(type="text")),
    st.just(JsonObjectFormat(type="json_object")),
    st.builds(
        JsonSchemaFormat,
        type=st.just("json_schema"),
        json_schema=st.builds(
            JsonSchema,
            name=names,
            description=st.one_of(st.none(), words),
            schema=st.sampled_from(SCHEMAS),
            strict=st.sampled_from([None, True, False]),
        ),
    ),
)
params = st.builds(
    Params,
    temperature=st.one_of(st.none(), st.floats(0, 2)),
    max_tokens=st.one_of(st.none(), st.integers(1, 1_000_000)),
    top_p=st.one_of(st.none(), st.floats(0.01, 1)),
    stop=st.lists(words, max_size=4).map(tuple),
    seed=st.one_of(st.none(), st.integers(-(2**31), 2**31)),
    response_format=formats,
    tools=st.lists(st.builds(Tool, function=functions), max_size=3).map(tuple),
    tool_choice=st.one_of(
        st.sampled_from([None, "none", "auto", "required"]),
        st.builds(NamedTool, function=st.builds(NamedFunction, name=names)),
    ),
)
prompts = st.builds(Prompt, messages=st.lists(messages, min_size=1, max_size=5).map(tuple), params=params)

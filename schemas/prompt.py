"""What is asked of the model: messages and parameters in the OpenAI chat shape, whoever answers them."""

import base64
import binascii
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from schemas.base import JsonObject, Model, Several, dump_json, load_json

MOST_MESSAGES = 2_048
IMAGE_SIGNATURES = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
}


def _inline_image(url: str) -> str:
    """Only data URLs: an event can never make us, or the provider, dial an address."""
    head, comma, payload = url.partition(",")
    media_type, _, encoding = head.removeprefix("data:").partition(";")
    if not head.startswith("data:") or not comma or encoding != "base64":
        raise ValueError(
            "must be an inline image, data:image/png;base64,…; addresses (http, https, file) are not fetched"
        )
    signatures = IMAGE_SIGNATURES.get(media_type)
    if signatures is None:
        raise ValueError(f"has a media type that models do not take; send one of {', '.join(IMAGE_SIGNATURES)}")
    try:
        content = base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("is not valid base64; encode the image's bytes with the standard alphabet") from error
    if not content.startswith(signatures):
        raise ValueError(f"is declared as {media_type} but its bytes are not; send the image itself")
    return url


def _portable(schema: JsonObject) -> JsonObject:
    """What is read must be what is written: other parsers make null or an error of NaN and of larger numbers."""
    try:
        kept = load_json(dump_json(schema)) == schema
    except TypeError:
        kept = False
    if not kept:
        raise ValueError("holds a number that JSON cannot carry (not finite, or beyond 64 bits); send a smaller one")
    return schema


PortableObject = Annotated[JsonObject, AfterValidator(_portable)]


_INLINE_IMAGE_SCHEMA = {
    "type": "string",
    "pattern": f"^data:({'|'.join(IMAGE_SIGNATURES)});base64,",
    "description": "the image itself; addresses are not fetched",
}


class TextPart(Model):
    type: Literal["text"]
    text: str


class ImageUrl(Model):
    url: Annotated[str, AfterValidator(_inline_image), WithJsonSchema(_INLINE_IMAGE_SCHEMA)]
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(Model):
    type: Literal["image_url"]
    image_url: ImageUrl


class FunctionCall(Model):
    name: str
    arguments: str = Field(description="JSON text, exactly as the model wrote it")


class ToolCall(Model):
    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


TextContent = str | Several[TextPart]
UserPart = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class SystemMessage(Model):
    role: Literal["system", "developer"]
    content: TextContent
    name: str | None = None


class UserMessage(Model):
    role: Literal["user"]
    content: str | Several[UserPart]
    name: str | None = None


class AssistantMessage(Model):
    role: Literal["assistant"]
    content: TextContent | None = None
    tool_calls: Several[ToolCall] = ()
    name: str | None = None


class ToolMessage(Model):
    role: Literal["tool"]
    content: TextContent
    tool_call_id: str


Message = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]


class FunctionDefinition(Model):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: PortableObject = Field(default_factory=dict, description="JSON Schema of the arguments")
    strict: bool | None = None


class Tool(Model):
    type: Literal["function"] = "function"
    function: FunctionDefinition


class NamedFunction(Model):
    name: str


class NamedTool(Model):
    type: Literal["function"] = "function"
    function: NamedFunction


class TextFormat(Model):
    type: Literal["text"]


class JsonObjectFormat(Model):
    type: Literal["json_object"]


class JsonSchema(Model):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    description: str | None = None
    schema_: PortableObject = Field(alias="schema")
    strict: bool | None = None


class JsonSchemaFormat(Model):
    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]


class Params(Model):
    """Sampling and shape of the answer. What is not given is left to the provider's default."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    stop: Annotated[Several[str], Field(max_length=4)] = ()
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[Several[Tool], Field(max_length=128)] = ()
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None

    @property
    def wants_json(self) -> bool:
        return self.response_format is not None and self.response_format.type != "text"


class Prompt(Model):
    """The part of a request that only the cache and the provider look at. Never logged."""

    messages: Annotated[Several[Message], Field(min_length=1, max_length=MOST_MESSAGES)]
    params: Params = Params()

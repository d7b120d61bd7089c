"""OpenAI's chat completion request as an Ask. Reads a body to which the rules had no objection."""

from hashlib import blake2b
from typing import get_args

from scripts.simulator import dice, prompt
from scripts.simulator.ask import Ask, Refusal, Tool, ToolChoice, invalid
from scripts.simulator.openai_rules import objections
from scripts.simulator.prices import Catalog, Effort, Model
from scripts.simulator.prompt import Block
from scripts.simulator.shapes import Object, as_array, as_id, as_int, as_object, as_text, objects_in

_EFFORTS: dict[object, Effort] = {effort: effort for effort in get_args(Effort)}


def read(catalog: Catalog, endpoint: str, body: Object) -> Ask | Refusal:
    name = as_text(body.get("model"))
    if not name:
        return invalid("you must provide a model parameter", "model")
    model = catalog.find("openai", name)
    if model is None or model.dimensions is not None:
        return unknown_model(name)
    objection = next(objections(body, model), None)
    if objection is not None:
        return objection
    messages = objects_in(body["messages"])
    measured = prompt.measured(_blocks(body, messages), model.encoding)
    if measured.total > model.context_tokens:
        return invalid(
            f"This model's maximum context length is {model.context_tokens} tokens. However, your messages resulted "
            f"in {measured.total} tokens. Please reduce the length of the messages.",
            "messages",
            "context_length_exceeded",
        )
    stop = body.get("stop")
    return Ask(
        model=model,
        asked_model=name,
        identity=dice.identity(endpoint, body),
        prompt=measured,
        text=last_user_text(messages),
        stream=body.get("stream") is True,
        stream_usage=(as_object(body.get("stream_options")) or {}).get("include_usage") is True,
        max_tokens=as_int(body.get("max_completion_tokens")) or as_int(body.get("max_tokens")),
        stops=(stop,) if isinstance(stop, str) else tuple(s for s in as_array(stop) or [] if isinstance(s, str)),
        tools=tuple(_tools(body)),
        choice=_choice(body),
        answering_tools=messages[-1].get("role") == "tool",
        schema=_schema(body),
        effort=_effort(body, model),
    )


def unknown_model(name: str) -> Refusal:
    return Refusal(404, "unknown_model", f"The model `{name}` does not exist or you do not have access to it.")


def last_user_text(messages: list[Object]) -> str:
    """Both protocols write a message's text as a string or as parts of type text."""
    for message in reversed(messages):
        content = message.get("content")
        text = as_text(content) or "\n".join(as_text(part.get("text")) or "" for part in objects_in(content))
        if message.get("role") == "user" and text.strip():
            return text
    return ""


def _blocks(body: Object, messages: list[Object]) -> list[Block]:
    blocks = [prompt.tools_block(tool) for tool in objects_in(body.get("tools"))]
    for message in messages:
        role = str(message.get("role"))
        name = as_text(message.get("name"))
        framing = prompt.MESSAGE_TOKENS + prompt.ROLE_TOKENS
        blocks.append(Block(name or "", framing + bool(name), role))
        if text := as_text(message.get("content")):
            blocks.append(Block(text))
        blocks += [_part_block(part) for part in objects_in(message.get("content"))]
        for call in objects_in(message.get("tool_calls")):
            function = as_object(call.get("function")) or {}
            blocks.append(Block(f"{function.get('name')}{function.get('arguments')}", mark="call"))
    blocks.append(Block("", prompt.ANSWER_TOKENS, "assistant"))
    return blocks


def _part_block(part: Object) -> Block:
    if part.get("type") != "image_url":
        return Block(as_text(part.get("text")) or "", mark=str(part.get("type")))
    image = as_object(part.get("image_url")) or {}
    small = image.get("detail") == "low"
    digest = blake2b(str(image.get("url")).encode(), digest_size=16).hexdigest()
    return Block("", prompt.SMALL_IMAGE_TOKENS if small else prompt.IMAGE_TOKENS, digest)


def _tools(body: Object) -> list[Tool]:
    functions = [as_object(tool.get("function")) or {} for tool in objects_in(body.get("tools"))]
    return [Tool(str(function.get("name")), as_object(function.get("parameters")) or {}) for function in functions]


def _choice(body: Object) -> ToolChoice:
    parallel = body.get("parallel_tool_calls") is not False
    choice = body.get("tool_choice")
    named = as_text((as_object((as_object(choice) or {}).get("function")) or {}).get("name"))
    match choice:
        case "none":
            return ToolChoice("none", parallel=parallel)
        case "required":
            return ToolChoice("required", parallel=parallel)
        case _:
            return ToolChoice("required" if named else "auto", named, parallel)


def _schema(body: Object) -> Object | None:
    wished = as_object(body.get("response_format")) or {}
    match wished.get("type"):
        case "json_object":
            return {}
        case "json_schema":
            return as_object((as_object(wished.get("json_schema")) or {}).get("schema"))
        case _:
            return None


def _effort(body: Object, model: Model) -> Effort:
    if model.default_effort is None:
        return "none"
    return _EFFORTS.get(as_id(body.get("reasoning_effort")), model.default_effort)

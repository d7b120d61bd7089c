"""Anthropic's message request as an Ask. Reads a body to which the rules had no objection."""

from dataclasses import replace
from hashlib import blake2b

from scripts.simulator import dice, prompt
from scripts.simulator.anthropic_rules import cache_ttl_s, objections
from scripts.simulator.ask import Ask, Refusal, Tool, ToolChoice, invalid
from scripts.simulator.openai_request import last_user_text
from scripts.simulator.prices import Catalog, Effort
from scripts.simulator.prompt import Block
from scripts.simulator.shapes import Object, as_array, as_id, as_int, as_object, as_text, objects_in

_EFFORTS: dict[object, Effort] = {
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "xhigh",
}


def read(catalog: Catalog, endpoint: str, body: Object, *, counting: bool) -> Ask | Refusal:
    name = as_text(body.get("model"))
    if not name:
        return invalid("model: Field required")
    model = catalog.find("anthropic", name)
    if model is None:
        return Refusal(404, "unknown_model", f"model: {name}")
    objection = next(objections(body, counting=counting), None)
    if objection is not None:
        return objection
    messages = objects_in(body["messages"])
    measured = prompt.measured(_blocks(body, messages), model.encoding)
    if measured.total > model.context_tokens:
        return invalid(f"prompt is too long: {measured.total} tokens > {model.context_tokens} maximum")
    output = as_object(body.get("output_config")) or {}
    thinking = as_object(body.get("thinking")) or {}
    thinks = thinking.get("type") in ("enabled", "adaptive")
    last = objects_in(messages[-1].get("content"))
    return Ask(
        model=model,
        asked_model=name,
        identity=dice.identity(endpoint, body),
        prompt=measured,
        text=last_user_text(messages),
        stream=body.get("stream") is True,
        max_tokens=as_int(body.get("max_tokens")),
        stops=tuple(stop for stop in as_array(body.get("stop_sequences")) or [] if isinstance(stop, str)),
        tools=tuple(
            Tool(str(tool.get("name")), as_object(tool.get("input_schema")) or {})
            for tool in objects_in(body.get("tools"))
        ),
        choice=_choice(body),
        answering_tools=any(block.get("type") == "tool_result" for block in last),
        schema=as_object((as_object(output.get("format")) or {}).get("schema")),
        effort=_EFFORTS.get(as_id(output.get("effort")), "medium") if thinks else "none",
        max_thinking=as_int(thinking.get("budget_tokens")),
    )


def _blocks(body: Object, messages: list[Object]) -> list[Block]:
    blocks = [prompt.tools_block(_unmarked(tool), cache_ttl_s(tool)) for tool in objects_in(body.get("tools"))]
    if system := as_text(body.get("system")):
        blocks.append(Block(system, mark="system"))
    blocks += [
        Block(as_text(part.get("text")) or "", mark="system", cache_ttl_s=cache_ttl_s(part))
        for part in objects_in(body.get("system"))
    ]
    for message in messages:
        blocks.append(Block("", prompt.MESSAGE_TOKENS + prompt.ROLE_TOKENS, str(message.get("role"))))
        if text := as_text(message.get("content")):
            blocks.append(Block(text))
        for part in objects_in(message.get("content")):
            blocks += _part_blocks(part)
    if automatic := cache_ttl_s(body):
        blocks[-1] = replace(blocks[-1], cache_ttl_s=automatic)
    blocks.append(Block("", prompt.ANSWER_TOKENS, "assistant"))
    return blocks


def _part_blocks(part: Object) -> list[Block]:
    """The blocks of one content block; only the last of them carries its breakpoint."""
    ttl_s = cache_ttl_s(part)
    kind = str(part.get("type"))
    match kind:
        case "image" | "document":
            digest = blake2b(str(part.get("source")).encode(), digest_size=16).hexdigest()
            return [Block("", prompt.CLAUDE_IMAGE_TOKENS, f"{kind} {digest}", ttl_s)]
        case "tool_use":
            return [Block(f"{part.get('name')}{part.get('input')}", mark=kind, cache_ttl_s=ttl_s)]
        case "tool_result":
            inner = [block for item in objects_in(part.get("content")) for block in _part_blocks(item)]
            return [*inner, Block(as_text(part.get("content")) or "", mark=kind, cache_ttl_s=ttl_s)]
        case _:
            return [
                Block(as_text(part.get("text")) or as_text(part.get("thinking")) or "", mark=kind, cache_ttl_s=ttl_s)
            ]


def _unmarked(tool: Object) -> Object:
    """Where the breakpoint stands is not part of what the model reads."""
    return {name: value for name, value in tool.items() if name != "cache_control"}


def _choice(body: Object) -> ToolChoice:
    choice = as_object(body.get("tool_choice")) or {}
    parallel = choice.get("disable_parallel_tool_use") is not True
    match choice.get("type"):
        case "none":
            return ToolChoice("none", parallel=parallel)
        case "any":
            return ToolChoice("required", parallel=parallel)
        case "tool":
            return ToolChoice("required", as_text(choice.get("name")), parallel)
        case _:
            return ToolChoice(parallel=parallel)

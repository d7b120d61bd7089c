"""Why Anthropic would answer 400 to a message request: the objections to a body, in its words, most basic first."""

from collections.abc import Iterable, Iterator

from scripts.simulator.ask import Refusal, invalid
from scripts.simulator.shapes import Object, as_array, as_id, as_int, as_number, as_object, as_text, objects_in

_BLOCKS = (
    "document",
    "image",
    "redacted_thinking",
    "search_result",
    "text",
    "thinking",
    "tool_result",
    "tool_use",
)
_MOST_BREAKPOINTS = 4
_LEAST_THINKING = 1_024


def objections(body: Object, *, counting: bool) -> Iterator[Refusal]:
    """`counting` is a request that only counts tokens: it has no limit on its answer."""
    if not counting:
        yield from _of_limit(body)
    yield from _of_messages(body)
    yield from _of_parameters(body)
    yield from _of_tools(body)
    yield from _of_caching(body)


def cache_ttl_s(block: Object) -> int:
    """Seconds the prefix up to this block is to be cached; 0 when it is not marked."""
    control = as_object(block.get("cache_control"))
    if control is None:
        return 0
    return 3_600 if control.get("ttl") == "1h" else 300


def cacheable(body: Object) -> Iterator[Object]:
    """Every block a breakpoint may stand on, in the order the model reads them."""
    yield from objects_in(body.get("tools"))
    yield from objects_in(body.get("system"))
    for message in objects_in(body.get("messages")):
        yield from objects_in(message.get("content"))


def _of_limit(body: Object) -> Iterator[Refusal]:
    if "max_tokens" not in body:
        yield invalid("max_tokens: Field required")
        return
    limit = as_int(body["max_tokens"])
    if limit is None:
        yield invalid("max_tokens: Input should be a valid integer")
    elif limit < 1:
        yield invalid("max_tokens: Input should be greater than or equal to 1")
    thinking = as_object(body.get("thinking")) or {}
    if thinking.get("type") == "enabled":
        budget = as_int(thinking.get("budget_tokens")) or 0
        if budget < _LEAST_THINKING:
            yield invalid("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
        if limit is not None and budget >= limit:
            yield invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")


def _of_messages(body: Object) -> Iterator[Refusal]:
    if "messages" not in body:
        yield invalid("messages: Field required")
        return
    messages = as_array(body["messages"])
    if messages is None:
        yield invalid("messages: Input should be a valid array")
        return
    if not messages:
        yield invalid("messages: at least one message is required")
    called: set[object] = set()
    for index, item in enumerate(messages):
        at = f"messages.{index}"
        message = as_object(item)
        if message is None:
            yield invalid(f"{at}: Input should be an object")
            return
        yield from _of_message(message, at)
        blocks = objects_in(message.get("content"))
        answered = {as_id(block.get("tool_use_id")) for block in blocks if block.get("type") == "tool_result"}
        if missing := called - answered:
            yield invalid(
                f"{at}: `tool_use` ids were found without `tool_result` blocks immediately after: {_listed(missing)}. "
                "Each `tool_use` block must have a corresponding `tool_result` block in the next message."
            )
        if unasked := answered - called:
            yield invalid(
                f"{at}: unexpected `tool_use_id` found in `tool_result` blocks: {_listed(unasked)}. Each `tool_result` "
                "block must have a corresponding `tool_use` block in the previous message."
            )
        called = {as_id(block.get("id")) for block in blocks if block.get("type") == "tool_use"}
    if called:
        yield invalid(f"messages: `tool_use` ids were found without `tool_result` blocks: {_listed(called)}")


def _of_message(message: Object, at: str) -> Iterator[Refusal]:
    role = message.get("role")
    if role == "system":
        yield invalid(
            'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not "system" '
            "as an input message role."
        )
    elif role not in ("user", "assistant"):
        yield invalid(f"{at}.role: Input should be 'user' or 'assistant'")
    content = message.get("content")
    blocks = as_array(content)
    if blocks is None and not isinstance(content, str):
        yield invalid(f"{at}.content: Input should be a valid string or array")
    if content in ("", []):
        yield invalid(f"{at}: all messages must have non-empty content")
    for index, item in enumerate(blocks or []):
        where = f"{at}.content.{index}"
        block = as_object(item) or {}
        kind = block.get("type")
        if kind not in _BLOCKS:
            known = ", ".join(f"'{name}'" for name in _BLOCKS)
            yield invalid(
                f"{where}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {known}"
            )
        elif kind == "text" and not as_text(block.get("text")):
            yield invalid("messages: text content blocks must be non-empty")
        elif kind == "image" and as_object(block.get("source")) is None:
            yield invalid(f"{where}.image.source: Field required")


def _of_parameters(body: Object) -> Iterator[Refusal]:
    for name in ("temperature", "top_p"):
        value = body.get(name)
        number = as_number(value)
        if value is not None and (number is None or not 0 <= number <= 1):
            yield invalid(f"{name}: range: 0..1")
    system = body.get("system")
    if system is not None and not isinstance(system, str | list):
        yield invalid("system: Input should be a valid string or array")
    stops = body.get("stop_sequences")
    if stops is not None and not all(isinstance(stop, str) and stop.strip() for stop in as_array(stops) or [None]):
        yield invalid("stop_sequences: each stop sequence must contain non-whitespace")


def _of_tools(body: Object) -> Iterator[Refusal]:
    names: set[object] = set()
    for index, tool in enumerate(objects_in(body.get("tools"))):
        names.add(as_id(tool.get("name")))
        if tool.get("type") not in (None, "custom"):
            continue  # the provider's own tools come with their schema; they are never called here
        for field, value in (
            ("name", as_text(tool.get("name"))),
            ("input_schema", as_object(tool.get("input_schema"))),
        ):
            if value is None:
                yield invalid(f"tools.{index}.custom.{field}: Field required")
    choice = as_object(body.get("tool_choice"))
    if choice is None:
        return
    if choice.get("type") not in ("auto", "any", "tool", "none"):
        yield invalid("tool_choice: Input tag should be one of: 'any', 'auto', 'none', 'tool'")
    if not names and choice.get("type") != "none":
        yield invalid("tool_choice may only be specified while providing tools")
    if choice.get("type") == "tool" and as_id(choice.get("name")) not in names:
        yield invalid(f"Tool '{choice.get('name')}' not found in provided tools")


def _of_caching(body: Object) -> Iterator[Refusal]:
    ttls = [ttl for block in cacheable(body) if (ttl := cache_ttl_s(block))]
    if len(ttls) > _MOST_BREAKPOINTS:
        yield invalid(f"A maximum of {_MOST_BREAKPOINTS} blocks with cache_control may be provided. Found {len(ttls)}.")
    if ttls != sorted(ttls, reverse=True):
        yield invalid("a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block")


def _listed(ids: Iterable[object]) -> str:
    return ", ".join(sorted(str(item) for item in ids))

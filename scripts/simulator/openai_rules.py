"""Why OpenAI would answer 400 to a chat completion: the objections to a body, in its words, most basic first."""

from collections.abc import Iterable, Iterator

from scripts.simulator.ask import Refusal, invalid
from scripts.simulator.prices import Model
from scripts.simulator.shapes import Object, as_array, as_id, as_int, as_number, as_object, as_text, kind_of, objects_in

_ROLES = ("system", "assistant", "user", "function", "tool", "developer")
_PARTS = ("text", "image_url", "input_audio", "file", "refusal")
_FORMATS = ("text", "json_object", "json_schema")
_MOST_STOPS = 4
# Sampling parameters with their range and the one value a model that is thinking accepts.
_SAMPLING = (
    ("temperature", 0, 2, 1),
    ("top_p", 0, 1, 1),
    ("presence_penalty", -2, 2, 0),
    ("frequency_penalty", -2, 2, 0),
)


def objections(body: Object, model: Model) -> Iterator[Refusal]:
    yield from _of_messages(body)
    yield from _of_limits(body, model)
    yield from _of_sampling(body, model)
    yield from _of_tools(body)
    yield from _of_format(body)
    if "stream_options" in body and body["stream_options"] is not None and not body.get("stream"):
        yield invalid("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options")
    if (as_int(body.get("n")) or 1) != 1:
        yield invalid("Invalid value for 'n': the simulator gives one choice.", "n", "invalid_value")


def _of_messages(body: Object) -> Iterator[Refusal]:
    if "messages" not in body:
        yield invalid("Missing required parameter: 'messages'.", "messages", "missing_required_parameter")
        return
    messages = as_array(body["messages"])
    if messages is None:
        yield _wrong_type("messages", "an array of objects", body["messages"])
        return
    if not messages:
        yield invalid(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            "messages",
            "empty_array",
        )
    waiting: set[object] = set()
    for index, item in enumerate(messages):
        at = f"messages[{index}]"
        message = as_object(item)
        if message is None:
            yield _wrong_type(at, "an object", item)
            return
        yield from _of_message(message, at)
        if message.get("role") == "tool":
            if as_id(message.get("tool_call_id")) not in waiting:
                yield invalid(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceding message with "
                    "'tool_calls'.",
                    f"{at}.role",
                )
            waiting.discard(as_id(message.get("tool_call_id")))
            continue
        if waiting:
            break
        waiting = {as_id(call.get("id")) for call in objects_in(message.get("tool_calls"))}
    if waiting:
        yield invalid(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {_listed(waiting)}",
            "messages",
        )


def _of_message(message: Object, at: str) -> Iterator[Refusal]:
    role = message.get("role")
    if role is None:
        yield invalid(f"Missing required parameter: '{at}.role'.", f"{at}.role", "missing_required_parameter")
    elif role not in _ROLES:
        yield _unknown(role, f"{at}.role", _ROLES)
    content = message.get("content")
    if content is None and role == "assistant":
        return
    parts = as_array(content)
    if parts is None and not isinstance(content, str):
        yield _wrong_type(f"{at}.content", "one of a string or array of objects", content)
    for index, part in enumerate(parts or []):
        where = f"{at}.content[{index}]"
        piece = as_object(part)
        if piece is None:
            yield _wrong_type(where, "an object", part)
        elif piece.get("type") not in _PARTS:
            yield _unknown(piece.get("type"), f"{where}.type", _PARTS)
        elif piece["type"] == "image_url" and not as_text((as_object(piece.get("image_url")) or {}).get("url")):
            name = f"{where}.image_url.url"
            yield invalid(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")


def _of_limits(body: Object, model: Model) -> Iterator[Refusal]:
    for name in ("max_tokens", "max_completion_tokens"):
        limit = body.get(name)
        if limit is None:
            continue
        number = as_int(limit)
        if number is None:
            yield _wrong_type(name, "an integer", limit)
        elif number < 1:
            yield invalid(
                f"Invalid '{name}': integer below minimum value. Expected a value >= 1, but got {number} instead.",
                name,
                "integer_below_min_value",
            )
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        yield invalid(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            "max_tokens",
            "invalid_parameter_combination",
        )
    if model.reasons and body.get("max_tokens") is not None:
        yield invalid(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
            "instead.",
            "max_tokens",
            "unsupported_parameter",
        )


def _of_sampling(body: Object, model: Model) -> Iterator[Refusal]:
    thinking = model.reasons and (body.get("reasoning_effort") or model.default_effort) != "none"
    for name, low, high, only in _SAMPLING:
        value = body.get(name)
        if value is None:
            continue
        number = as_number(value)
        if number is None:
            yield _wrong_type(name, "a decimal", value)
        elif not low <= number <= high:
            side, sign, bound = ("above maximum", "<=", high) if number > high else ("below minimum", ">=", low)
            yield invalid(
                f"Invalid '{name}': decimal {side} value. Expected a value {sign} {bound}, but got {value} instead.",
                name,
                f"decimal_{'above_max' if number > high else 'below_min'}_value",
            )
        elif thinking and number != only:
            yield invalid(
                f"Unsupported value: '{name}' does not support {value} with this model. Only the default ({only}) "
                "value is supported.",
                name,
                "unsupported_value",
            )
    stop = body.get("stop")
    if stop is not None and model.reasons:
        yield invalid(
            "Unsupported parameter: 'stop' is not supported with this model.", "stop", "unsupported_parameter"
        )
    several = as_array(stop)
    if stop is not None and several is None and not isinstance(stop, str):
        yield _wrong_type("stop", "a string or an array of strings", stop)
    if several is not None and len(several) > _MOST_STOPS:
        yield invalid(
            f"Invalid 'stop': array too long. Expected an array with maximum length {_MOST_STOPS}.",
            "stop",
            "array_above_max_length",
        )


def _of_tools(body: Object) -> Iterator[Refusal]:
    names: set[object] = set()
    for index, tool in enumerate(objects_in(body.get("tools"))):
        function = as_object(tool.get("function")) or {}
        names.add(as_id(function.get("name")))
        if not as_text(function.get("name")):
            name = f"tools[{index}].function.name"
            yield invalid(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")
    choice = body.get("tool_choice")
    if choice is not None and not names:
        yield invalid(
            "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.", "tool_choice"
        )
    demanded = as_id((as_object((as_object(choice) or {}).get("function")) or {}).get("name"))
    if demanded is not None and demanded not in names:
        yield invalid(f"Invalid value for 'tool_choice': function '{demanded}' is not among 'tools'.", "tool_choice")


def _of_format(body: Object) -> Iterator[Refusal]:
    wished = as_object(body.get("response_format"))
    if wished is None:
        return
    kind = wished.get("type")
    if kind not in _FORMATS:
        yield _unknown(kind, "response_format.type", _FORMATS)
    elif kind == "json_schema":
        schema = as_object(wished.get("json_schema")) or {}
        for name in ("name", "schema"):
            if not schema.get(name):
                param = f"response_format.json_schema.{name}"
                yield invalid(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")
    elif kind == "json_object" and not any(
        "json" in str(message.get("content")).lower() for message in objects_in(body.get("messages"))
    ):
        yield invalid(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            "messages",
        )


def _wrong_type(param: str, expected: str, value: object) -> Refusal:
    return invalid(
        f"Invalid type for '{param}': expected {expected}, but got {kind_of(value)} instead.", param, "invalid_type"
    )


def _unknown(value: object, param: str, known: tuple[str, ...]) -> Refusal:
    names = ", ".join(f"'{name}'" for name in known[:-1])
    return invalid(
        f"Invalid value: '{value}'. Supported values are: {names}, and '{known[-1]}'.", param, "invalid_value"
    )


def _listed(ids: Iterable[object]) -> str:
    return ", ".join(sorted(str(item) for item in ids))

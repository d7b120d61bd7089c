"""Our prompt as Anthropic's message request, and its answer as ours. Pure."""

from anthropic.types import TextBlockParam
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming

from schemas.prompt import Params
from schemas.response import FinishReason, FunctionCall, Output, ToolCall
from streams.providers.anthropic_dialect import Dialect, dialect
from streams.providers.anthropic_tools import ANSWER_TOOL, shape
from streams.providers.anthropic_transcript import Transcript
from streams.providers.anthropic_turns import called_tools, system, turns
from streams.providers.protocol import Question

_FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    # Only the provider's own tools pause a turn, and none of them is ever asked for.
    "pause_turn": "unknown",
}
_NO_REASON_GIVEN = "The model refused to answer."


def request(question: Question) -> dict[str, object]:
    """The body of POST /v1/messages."""
    params = question.prompt.params
    spoken = dialect(question.model)
    shaped = shape(params, spoken, called_tools(question.prompt.messages))
    body: MessageCreateParamsNonStreaming = {
        "model": question.model,
        "max_tokens": params.max_tokens or spoken.default_max_tokens,
        "messages": turns(question.prompt.messages),
    }
    instructions: list[TextBlockParam] = [
        *system(question.prompt.messages),
        *({"type": "text", "text": words} for words in shaped.instructions),
    ]
    if instructions:
        body["system"] = instructions
    # Anthropic refuses a stop sequence of white space, which OpenAI takes.
    if stops := [stop for stop in params.stop if stop.strip()]:
        body["stop_sequences"] = stops
    if shaped.tools:
        body["tools"] = shaped.tools
    if shaped.choice is not None:
        body["tool_choice"] = shaped.choice
    if shaped.output is not None:
        body["output_config"] = shaped.output
    return {**body, **_sampling(params, spoken), "stream": question.stream}


def _sampling(params: Params, spoken: Dialect) -> dict[str, object]:
    """Not among the SDK's parameters any more: newer models answer 400 to them, so those sample as they please.

    OpenAI's temperature goes up to 2 and Anthropic's to 1, both meaning "as wild as it gets": hence the clamp and
    not a scale, which would change what 0.7 means. `seed` has no counterpart at all.
    """
    sampling: dict[str, object] = {}
    if not spoken.sampling:
        return sampling
    if params.temperature is not None:
        sampling["temperature"] = min(params.temperature, 1.0)
    if params.top_p is not None and not (spoken.either_sampling and sampling):
        sampling["top_p"] = params.top_p
    return sampling


def answer(heard: Transcript) -> tuple[Output, FinishReason]:
    calls = heard.parts_of("tool_use")
    answers = [part for part in calls if part.name == ANSWER_TOOL]
    tool_calls = tuple(
        ToolCall(id=part.id, function=FunctionCall(name=part.name, arguments=part.text or "{}"))
        for part in calls
        if part.name != ANSWER_TOOL
    )
    reason = _FINISH.get(heard.finish or "", "unknown")
    if reason == "tool_calls" and not tool_calls:
        reason = "stop"
    content = "".join(part.text for part in answers or heard.parts_of("text"))
    refusal = (heard.explanation or _NO_REASON_GIVEN) if reason == "refusal" else None
    return Output(content=content or None, tool_calls=tool_calls, refusal=refusal), reason

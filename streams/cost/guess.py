"""What a call used, where its provider did not say: an estimate from what was sent and what was heard of the answer."""

from schemas.response import Output
from schemas.usage import Usage
from streams.cost.tokens import guess_tokens
from streams.cost.usage import ProviderName, RawUsage, UnusableUsage, usage
from streams.limits import EXPECTED_OUTPUT_TOKENS


def expected_usage(input_tokens: int, max_tokens: int | None) -> Usage:
    """Of a call of which nothing was heard. Its input is taken for uncached, and its output for what a request without
    `max_tokens` is expected to have, or less where it may have less: a generous `max_tokens` is seldom used up, and
    this is a best guess. The upper bound is what `limit` holds.
    """
    output = EXPECTED_OUTPUT_TOKENS if max_tokens is None else min(max_tokens, EXPECTED_OUTPUT_TOKENS)
    return Usage(uncached_input_tokens=input_tokens, text_output_tokens=output)


def usage_so_far(expected: Usage, provider: ProviderName, usage_raw: RawUsage, heard_tokens: int | None) -> Usage:
    """Of a call that broke off. The input as it was reported before that, if it was; of the output what was reported or
    heard, whichever is more (Anthropic's first event reports one token of it). `heard_tokens` is None where an answer
    is sent as a whole or not at all: then it was made as a whole, and is as long as expected.
    """
    reported = _reported(provider, usage_raw)
    if heard_tokens is None:
        heard_tokens = expected.text_output_tokens
    known = expected if reported is None else reported
    beside = 0 if reported is None else reported.reasoning_tokens + reported.audio_output_tokens
    said = 0 if reported is None else reported.text_output_tokens
    return Usage(
        uncached_input_tokens=known.uncached_input_tokens,
        cache_read_tokens=known.cache_read_tokens,
        cache_write_5m_tokens=known.cache_write_5m_tokens,
        cache_write_1h_tokens=known.cache_write_1h_tokens,
        image_input_tokens=known.image_input_tokens,
        audio_input_tokens=known.audio_input_tokens,
        text_output_tokens=max(said, heard_tokens - beside, 0),
        reasoning_tokens=0 if reported is None else reported.reasoning_tokens,
        audio_output_tokens=0 if reported is None else reported.audio_output_tokens,
    )


def usage_of_answer(expected: Usage, provider: ProviderName, usage_raw: RawUsage, output: Output) -> Usage | None:
    """Of a whole answer. None where the provider's own count can be used, which is nearly always."""
    if _reported(provider, usage_raw) is not None:
        return None
    words = [output.content or "", output.refusal or ""]
    words += [text for call in output.tool_calls for text in (call.function.name, call.function.arguments)]
    return usage_so_far(expected, provider, None, guess_tokens("".join(words)))


def _reported(provider: ProviderName, usage_raw: RawUsage) -> Usage | None:
    try:
        return usage(provider, usage_raw)
    except UnusableUsage:
        return None

"""A provider's usage block as disjoint buckets that add up to the provider's own total, or a typed error: never 0."""

from typing import Literal, assert_never, cast

from schemas.base import JsonObject
from schemas.usage import Usage

ProviderName = Literal["openai", "anthropic"]
RawUsage = JsonObject | None
MOST_TOKENS = 1_000_000_000
"""No call has a thousandth of it. A larger number is a provider's fault, and its cost would fit into no column."""


class UnusableUsage(ValueError):
    """The block is missing or contradicts itself at `key`. Book the call as estimated, or without a price; not as 0."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"The provider's usage has {key} {problem}.")
        self.key = key


def usage(provider: ProviderName, usage_raw: RawUsage) -> Usage:
    """Raises UnusableUsage, naming the key."""
    if usage_raw is None:
        raise UnusableUsage("usage", "missing")
    match provider:
        case "openai":
            return _openai(_Counts(usage_raw))
        case "anthropic":
            return _anthropic(_Counts(usage_raw))
        case _:
            assert_never(provider)


def _openai(counts: "_Counts") -> Usage:
    """`prompt_tokens` include what was cached, `completion_tokens` the reasoning."""
    prompt, completion = counts.demanded("prompt_tokens"), counts.demanded("completion_tokens")
    total = counts.given("total_tokens", prompt + completion)
    asked, answered = counts.inside("prompt_tokens_details"), counts.inside("completion_tokens_details")
    read, written = asked.given("cached_tokens"), asked.given("cache_write_tokens")
    audio_in, image_in = asked.given("audio_tokens"), asked.given("image_tokens")
    reasoning, audio_out = answered.given("reasoning_tokens"), answered.given("audio_tokens")
    if total == prompt + completion + reasoning:
        # So do the endpoints of some other vendors count: their completion leaves the reasoning out.
        completion += reasoning
    _within("total_tokens", total, prompt + completion, exactly=True)
    _within("prompt_tokens_details", max(read + written, audio_in, image_in), prompt)
    _within("completion_tokens_details", reasoning + audio_out, completion)
    # A cached image is counted as cached and as an image, and nothing says how much of it. The cache changes the
    # price and the medium seldom does, so what was cached counts as that, whatever it was.
    rest = prompt - read - written
    audio = min(audio_in, rest)
    image = min(image_in, rest - audio)
    return Usage(
        uncached_input_tokens=rest - audio - image,
        cache_read_tokens=read,
        # OpenAI's entries live 30 minutes, and its only price for writing them is the short-lived one.
        cache_write_5m_tokens=written,
        audio_input_tokens=audio,
        image_input_tokens=image,
        text_output_tokens=completion - reasoning - audio_out,
        reasoning_tokens=reasoning,
        audio_output_tokens=audio_out,
    )


def _anthropic(counts: "_Counts") -> Usage:
    """`input_tokens` exclude what was read from the cache or written to it, `output_tokens` include the thinking."""
    output = counts.demanded("output_tokens")
    thinking = counts.inside("output_tokens_details").given("thinking_tokens")
    _within("output_tokens_details.thinking_tokens", thinking, output)
    written = counts.given("cache_creation_input_tokens")
    creation = counts.inside("cache_creation")
    short, long = creation.given("ephemeral_5m_input_tokens"), creation.given("ephemeral_1h_input_tokens")
    if counts.has("cache_creation"):
        _within("cache_creation", short + long, counts.given("cache_creation_input_tokens", short + long), exactly=True)
    else:
        short = written
    return Usage(
        uncached_input_tokens=counts.demanded("input_tokens"),
        cache_read_tokens=counts.given("cache_read_input_tokens"),
        cache_write_5m_tokens=short,
        cache_write_1h_tokens=long,
        text_output_tokens=output - thinking,
        reasoning_tokens=thinking,
    )


class _Counts:
    """Token counts by key. Absent and null are the same. `raw` is no object where the provider put something else."""

    def __init__(self, raw: object, above: str = "") -> None:
        self._raw = cast("dict[str, object]", raw) if isinstance(raw, dict) else None
        self._above = above

    def has(self, key: str) -> bool:
        return self._at(key) is not None

    def demanded(self, key: str) -> int:
        if not self.has(key):
            raise UnusableUsage(self._above + key, "missing")
        return self.given(key)

    def given(self, key: str, default: int = 0) -> int:
        value = self._at(key)
        if value is None:
            return default
        if type(value) is int and 0 <= value <= MOST_TOKENS:  # nearly always
            return value
        # bool is an int in Python, and 12.0 is how some JSON writers spell 12.
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not whole or not 0 <= (count := int(cast("float", value))) <= MOST_TOKENS:
            raise UnusableUsage(self._above + key, "that is no count of tokens")
        return count

    def inside(self, key: str) -> "_Counts":
        value = self._at(key)
        return _Counts({} if value is None else value, f"{self._above}{key}.")

    def _at(self, key: str) -> object:
        if self._raw is None:
            raise UnusableUsage(self._above + key, "inside something that is no object")
        return self._raw.get(key)


def _within(key: str, count: int, whole: int, *, exactly: bool = False) -> None:
    if count > whole or (exactly and count != whole):
        raise UnusableUsage(key, f"of {count} where the other counts make {whole}")

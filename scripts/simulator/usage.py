"""The tokens of one call in buckets that do not overlap, which is how a bill counts and no provider reports."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Usage:
    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0

    @property
    def prompt(self) -> int:
        return self.input + self.cache_read + self.cache_write

    @property
    def cache_write(self) -> int:
        return self.cache_write_5m + self.cache_write_1h

    @property
    def generated(self) -> int:
        return self.output + self.reasoning

    def counts(self) -> dict[str, int]:
        return {
            "input": self.input,
            "cache_read": self.cache_read,
            "cache_write_5m": self.cache_write_5m,
            "cache_write_1h": self.cache_write_1h,
            "output": self.output,
            "reasoning": self.reasoning,
        }

    def after(self, generated: int) -> "Usage":
        """The usage of the same call had it ended once this many tokens were generated, thinking first."""
        reasoning = min(self.reasoning, generated)
        return replace(self, reasoning=reasoning, output=min(self.output, generated - reasoning))

    def plus(self, other: "Usage") -> "Usage":
        return Usage(
            self.input + other.input,
            self.cache_read + other.cache_read,
            self.cache_write_5m + other.cache_write_5m,
            self.cache_write_1h + other.cache_write_1h,
            self.output + other.output,
            self.reasoning + other.reasoning,
        )


UNUSED = Usage()

"""How long an answer takes, drawn from the seed and the request so that a run can be repeated."""

from dataclasses import dataclass

from scripts.simulator import dice


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds until a whole answer, until a stream's first token, and from each token to the next."""

    whole_s: float = 0
    first_s: float = 0
    token_s: float = 0

    def later_by(self, delay_s: float) -> "Pace":
        return Pace(self.whole_s + delay_s, self.first_s + delay_s, self.token_s)


@dataclass(frozen=True, slots=True)
class Tempo:
    """Medians in milliseconds, the spread as the sigma of their logarithm; 0 answers at once, at any rate."""

    seed: int
    latency_ms: float = 0
    ttft_ms: float = 0
    spread: float = 0
    tokens_per_s: float = 0

    def pace(self, identity: bytes, reasoning_tokens: int) -> Pace:
        """A whole answer's latency holds its thinking; a stream stays silent while the model thinks."""
        if not (self.latency_ms or self.ttft_ms or self.tokens_per_s):
            return Pace()
        factor = dice.lognormal(1, self.spread, dice.unit(self.seed, identity, "latency"))
        token_s = 1 / self.tokens_per_s if self.tokens_per_s else 0
        return Pace(
            whole_s=self.latency_ms * factor / 1000,
            first_s=self.ttft_ms * factor / 1000 + reasoning_tokens * token_s,
            token_s=token_s,
        )

"""A provider's rate limits: requests and tokens a minute for each key and model, refilled continuously.

A call takes its prompt and the most it may answer with, as OpenAI counts; 0 means no limit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Limit = Literal["requests", "tokens"]


@dataclass(frozen=True, slots=True)
class Standing:
    """What is left after a call, and how long one limit (None: neither) makes the caller wait."""

    remaining_requests: int
    remaining_tokens: int
    exceeded: Limit | None = None
    wait_s: float = 0


@dataclass(slots=True)
class _Buckets:
    requests: float
    tokens: float
    at_s: float


class Quota:
    """`clock` returns seconds that only go forward."""

    def __init__(self, requests_per_minute: int, tokens_per_minute: int, clock: Callable[[], float]) -> None:
        self.requests_per_minute = requests_per_minute
        self.tokens_per_minute = tokens_per_minute
        self._clock = clock
        self._buckets: dict[tuple[str, str], _Buckets] = {}

    @property
    def limited(self) -> bool:
        return bool(self.requests_per_minute or self.tokens_per_minute)

    def take(self, key_id: str, model: str, tokens: int) -> Standing:
        """Charges one call, or charges nothing and says which limit it exceeds."""
        bucket = self._refilled(key_id, model)
        # A call larger than the limit itself passes on a full bucket, or it never would.
        tokens = min(tokens, self.tokens_per_minute)
        short_requests = (1 - bucket.requests) if self.requests_per_minute else 0
        short_tokens = (tokens - bucket.tokens) if self.tokens_per_minute else 0
        if short_requests > 0:
            wait_s = short_requests * 60 / self.requests_per_minute
            return Standing(int(bucket.requests), int(bucket.tokens), "requests", wait_s)
        if short_tokens > 0:
            wait_s = short_tokens * 60 / self.tokens_per_minute
            return Standing(int(bucket.requests), int(bucket.tokens), "tokens", wait_s)
        bucket.requests -= 1
        bucket.tokens -= tokens
        return Standing(max(0, int(bucket.requests)), max(0, int(bucket.tokens)))

    def _refilled(self, key_id: str, model: str) -> _Buckets:
        now = self._clock()
        bucket = self._buckets.setdefault(
            (key_id, model), _Buckets(self.requests_per_minute, self.tokens_per_minute, now)
        )
        minutes = (now - bucket.at_s) / 60
        bucket.at_s = now
        bucket.requests = min(self.requests_per_minute, bucket.requests + minutes * self.requests_per_minute)
        bucket.tokens = min(self.tokens_per_minute, bucket.tokens + minutes * self.tokens_per_minute)
        return bucket

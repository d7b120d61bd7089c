"""How long the provider takes and what it says: the same for all, or by the tokens that go in and come out."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pydantic import BaseModel, ConfigDict, NonNegativeFloat

from schemas.base import dump_json

_ASKED_FOR: Final = re.compile(rb'"max_(?:completion_)?tokens":\s*(\d+)')
FIXED_TOKENS: Final = 64
"""Of an answer whose length nobody asked for."""
_PROMPT_TOKENS: Final = 128


class Pace(BaseModel):
    """With `decode_tokens_per_s` 0 every answer takes `latency_ms`; else what prompt and answer take comes on top.

    A prompt's tokens are then the blanks in the body, which is exact for prompts of one-token words, and an answer has
    as many tokens as `max_tokens` asks for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    latency_ms: NonNegativeFloat = 0
    prefill_tokens_per_s: NonNegativeFloat = 0
    decode_tokens_per_s: NonNegativeFloat = 0

    def seconds(self, prompt_tokens: int, answer_tokens: int) -> float:
        taken_s = self.latency_ms / 1000
        if self.prefill_tokens_per_s:
            taken_s += prompt_tokens / self.prefill_tokens_per_s
        if self.decode_tokens_per_s:
            taken_s += answer_tokens / self.decode_tokens_per_s
        return taken_s


@dataclass(frozen=True, slots=True)
class Reply:
    after_s: float
    body: bytes


def reply(pace: Pace, asked: bytes) -> Reply:
    """To the body of a POST to /chat/completions."""
    if not pace.decode_tokens_per_s:
        return Reply(pace.latency_ms / 1000, _completion(_PROMPT_TOKENS, FIXED_TOKENS))
    found = _ASKED_FOR.search(asked)
    prompt, words = asked.count(b" "), int(found[1]) if found else FIXED_TOKENS
    return Reply(pace.seconds(prompt, words), _completion(prompt, words))


@lru_cache(maxsize=4096)
def _completion(prompt_tokens: int, answer_tokens: int) -> bytes:
    content = " ".join(("grain",) * answer_tokens)
    usage = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": answer_tokens,
        "total_tokens": prompt_tokens + answer_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }
    message = {"role": "assistant", "content": content, "refusal": None}
    return dump_json(
        {
            "id": "chatcmpl-bench",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": "gpt-4o-mini-2024-07-18",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
            "usage": usage,
            "service_tier": "default",
        }
    )

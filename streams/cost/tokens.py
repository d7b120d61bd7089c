"""How many tokens a prompt will take, roughly: for limits only, never for money, which uses what providers report."""

import warnings
from collections.abc import Callable
from functools import cache

from schemas.base import dump_json
from schemas.prompt import ImagePart, Prompt, TextPart

MAX_COUNTED_CHARS = 100_000
"""About 10 ms of one core. Beyond that the length alone decides: nobody can hold up a worker with a long prompt."""

_BYTES_PER_TOKEN = 4
_MESSAGE_TOKENS = 4  # role and separators
_ANSWER_TOKENS = 3  # the opening of the answer
_IMAGE_TOKENS = 765  # OpenAI's 1024x1024 image in high detail
_SMALL_IMAGE_TOKENS = 85


def estimate_tokens(prompt: Prompt) -> int:
    """Counted with OpenAI's o200k_base, which is some 10 to 40 % off for other vendors. Takes a bounded time."""
    texts: list[str] = []
    images = 0
    for message in prompt.messages:
        if isinstance(message.content, str):
            texts.append(message.content)
        elif message.content is not None:
            texts += [part.text for part in message.content if isinstance(part, TextPart)]
            images += sum(_image(part) for part in message.content if isinstance(part, ImagePart))
        if message.role == "assistant":
            texts += [text for call in message.tool_calls for text in (call.function.name, call.function.arguments)]
    texts += [dump_json(tool.model_dump(mode="json")).decode() for tool in prompt.params.tools]
    return _ANSWER_TOKENS + _MESSAGE_TOKENS * len(prompt.messages) + images + _count(texts)


def _count(texts: list[str]) -> int:
    if sum(map(len, texts)) > MAX_COUNTED_CHARS:
        return sum(len(text.encode()) for text in texts) // _BYTES_PER_TOKEN
    count = _counter()
    return sum(count(text) for text in texts if text)


def load_vocabulary() -> None:
    """Half a second that the first request would otherwise wait."""
    _count(["warm"])


@cache
def _counter() -> Callable[[str], int]:
    # Half a second and 70 MB, which only the process that estimates should pay. The package's public encoder is
    # slower, and raises for texts of many tokens and for those that spell out a control token.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of how the package finds its own files
        from bpe_openai._bindings import tokenizer_for_encoding  # noqa: PLC0415

    return tokenizer_for_encoding("o200k_base").count


def _image(part: ImagePart) -> int:
    return _SMALL_IMAGE_TOKENS if part.image_url.detail == "low" else _IMAGE_TOKENS

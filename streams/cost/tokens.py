"""How many tokens a prompt will take, roughly: for limits only, never for money, which uses what providers report."""

import warnings
from collections.abc import Callable
from functools import cache, lru_cache

from schemas.base import dump_json
from schemas.prompt import ImagePart, Prompt, TextPart
from schemas.request import Request

MAX_COUNTED_CHARS = 100_000
"""About 10 ms of one core. Beyond that the length alone decides: nobody can hold up a worker with a long prompt."""

_LONGEST_REMEMBERED = 8_192  # characters: what is remembered takes at most some 16 MB
_BYTES_PER_TOKEN = 4
_MESSAGE_TOKENS = 4  # role and separators
_ANSWER_TOKENS = 3  # the opening of the answer
_IMAGE_TOKENS = 765  # OpenAI's 1024x1024 image in high detail
_SMALL_IMAGE_TOKENS = 85


def estimate_tokens(asked: Prompt | Request, *, exactly: bool = True) -> int:
    """Counted with OpenAI's o200k_base, which is some 10 to 40 % off for other vendors; or else, in a tenth of the
    time, guessed from its length. Takes a bounded time.
    """
    texts: list[str] = []
    framing: list[str] = []
    images = 0
    for message in asked.messages:
        into = framing if message.role in {"system", "developer"} else texts
        if isinstance(message.content, str):
            into.append(message.content)
        elif message.content is not None:
            into += [part.text for part in message.content if isinstance(part, TextPart)]
            images += sum(_image(part) for part in message.content if isinstance(part, ImagePart))
        if message.role == "assistant":
            texts += [text for call in message.tool_calls for text in (call.function.name, call.function.arguments)]
    framing += [dump_json(tool.model_dump(mode="json")).decode() for tool in asked.params.tools]
    tokens = _tokens(texts, framing) if exactly else _guess(texts + framing)
    return _ANSWER_TOKENS + _MESSAGE_TOKENS * len(asked.messages) + images + tokens


def guess_tokens(text: str) -> int:
    """In microseconds, and good enough for an answer of which only a part arrived. Never 0 for a text."""
    return -(-len(text.encode(errors="surrogatepass")) // _BYTES_PER_TOKEN)


def _tokens(texts: list[str], framing: list[str]) -> int:
    if sum(map(len, texts)) + sum(map(len, framing)) > MAX_COUNTED_CHARS:
        return _guess(texts + framing)
    return sum(map(_count, texts)) + sum(map(_count_again, framing))


def _guess(texts: list[str]) -> int:
    return sum(len(text.encode()) for text in texts) // _BYTES_PER_TOKEN


def _count(text: str) -> int:
    return _counter()(text) if text else 0


def _count_again(text: str) -> int:
    """Of system prompts and tools, which an application sends with each of its requests."""
    return _remembered(text) if len(text) <= _LONGEST_REMEMBERED else _count(text)


_remembered = lru_cache(maxsize=512)(_count)


def load_vocabulary() -> None:
    """Half a second that the first request would otherwise wait."""
    _count("warm")


@cache
def _counter() -> Callable[[str], int]:
    # Half a second and 70 MB, which only the process that estimates should pay. The package's public encoder is
    # slower, and raises for texts of many tokens and for those that spell out a control token.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of how the package finds its own files
        from bpe_openai._bindings import tokenizer_for_encoding  # noqa: PLC0415  # as above

    return tokenizer_for_encoding("o200k_base").count


def _image(part: ImagePart) -> int:
    return _SMALL_IMAGE_TOKENS if part.image_url.detail == "low" else _IMAGE_TOKENS

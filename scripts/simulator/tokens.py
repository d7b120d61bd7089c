"""Real token counts, offline. OpenAI's models are counted with their own vocabularies.

Anthropic publishes none, so Claude is counted with cl100k_base: not its true counts, but stable ones that differ
from OpenAI's for the same text, as the true ones do.
"""

import warnings
from dataclasses import dataclass
from functools import cache
from typing import get_args

from scripts.simulator.prices import Encoding

with warnings.catch_warnings():
    # The package opens its vocabularies with a function that Python 3.11 deprecates.
    warnings.simplefilter("ignore", DeprecationWarning)
    # Its public wrapper refuses what providers accept: a text over a million characters, or one with "<|endoftext|>".
    from bpe_openai._bindings import PyTokenizer, tokenizer_for_encoding

ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)


@cache
def _tokenizer(encoding: Encoding) -> PyTokenizer:
    return tokenizer_for_encoding(encoding)


def count(encoding: Encoding, text: str) -> int:
    return _tokenizer(encoding).count(text) if text else 0


def ids(encoding: Encoding, text: str) -> list[int]:
    return _tokenizer(encoding).encode(text) if text else []


@dataclass(frozen=True, slots=True)
class Pieces:
    """A text in the steps a model would produce it, each with the number of tokens it takes."""

    texts: tuple[str, ...] = ()
    tokens: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def total(self) -> int:
        return sum(self.tokens)

    def first(self, tokens: int) -> "Pieces":
        """As many whole pieces as fit into so many tokens."""
        if tokens >= self.total:
            return self
        kept = spent = 0
        for step in self.tokens:
            if spent + step > tokens:
                break
            spent += step
            kept += 1
        return Pieces(self.texts[:kept], self.tokens[:kept])


NOTHING = Pieces()


def pieces(encoding: Encoding, text: str) -> Pieces:
    """One piece a token, except where a character takes several."""
    tokenizer = _tokenizer(encoding)
    texts: list[str] = []
    counts: list[int] = []
    pending: list[int] = []
    for token in ids(encoding, text):
        pending.append(token)
        try:
            texts.append(tokenizer.decode(pending))
        except ValueError:
            continue  # the bytes so far end inside a character
        counts.append(len(pending))
        pending = []
    return Pieces(tuple(texts), tuple(counts))

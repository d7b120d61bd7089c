"""OpenAI's `POST /v1/embeddings`: vectors in which texts that share words are close, the same in every run."""

import base64
import re
from array import array
from collections.abc import Iterator
from hashlib import blake2b
from itertools import pairwise
from math import sqrt

import orjson

from scripts.simulator import dice, prompt
from scripts.simulator.answers import Answer, Author
from scripts.simulator.ask import Ask, Refusal, invalid
from scripts.simulator.dialect import Frame, Headers, Reply
from scripts.simulator.openai_request import unknown_model
from scripts.simulator.openai_wire import OpenAIWire
from scripts.simulator.prices import Catalog
from scripts.simulator.prompt import Block
from scripts.simulator.prompt_cache import PromptCache
from scripts.simulator.shapes import Object, as_array, as_int, as_text
from scripts.simulator.usage import Usage

_WORD = re.compile(r"\w+")
# Each word marks so many of a vector's dimensions: enough that two words rarely agree by chance.
_MARKS = 8


class Embeddings(OpenAIWire):
    endpoint = "/v1/embeddings"
    billed = True

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def read(self, headers: Headers, body: Object) -> Ask | Refusal:  # noqa: ARG002 - the dialect's shape
        name = as_text(body.get("model"))
        if not name:
            return invalid("you must provide a model parameter", "model")
        model = self._catalog.find("openai", name)
        if model is None or model.dimensions is None:
            return unknown_model(name)
        texts = _texts(body.get("input"))
        if texts is None:
            return invalid("'$.input' is invalid: a string or an array of strings is expected.", "input")
        dimensions = as_int(body.get("dimensions")) or model.dimensions
        if not 1 <= dimensions <= model.dimensions:
            return invalid(f"'dimensions' must lie between 1 and {model.dimensions}.", "dimensions")
        measured = prompt.measured([Block(text) for text in texts], model.encoding)
        if max(measured.counts) > model.context_tokens:
            return invalid(
                f"This model's maximum context length is {model.context_tokens} tokens, however you requested "
                f"{max(measured.counts)} tokens.",
                "input",
            )
        return Ask(
            model=model,
            asked_model=name,
            identity=dice.identity(self.endpoint, body),
            prompt=measured,
            text=texts[-1],
            vectors=texts,
            dimensions=dimensions,
            base64=body.get("encoding_format") == "base64",
        )

    def answer(self, author: Author, ask: Ask) -> Answer:  # noqa: ARG002 - vectors have no author
        return Answer()

    def usage(self, cache: PromptCache, owner: str, ask: Ask) -> Usage:  # noqa: ARG002 - nothing is cached
        return Usage(input=ask.prompt.total)

    def whole(self, reply: Reply) -> bytes:
        ask = reply.ask
        rows: list[Object] = []
        for index, text in enumerate(ask.vectors):
            numbers = vector(text, ask.dimensions)
            shown = base64.b64encode(numbers.tobytes()).decode() if ask.base64 else numbers.tolist()
            rows.append({"object": "embedding", "index": index, "embedding": shown})
        tokens = ask.prompt.total
        return orjson.dumps(
            {
                "object": "list",
                "data": rows,
                "model": reply.model_name,
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            }
        )

    def frames(self, reply: Reply) -> Iterator[Frame]:
        """Embeddings are never streamed."""
        yield Frame(self.whole(reply))


def vector(text: str, dimensions: int) -> "array[float]":
    """A vector of length 1 in 32-bit floats, the sum of what each word and each pair of neighbours marks."""
    words: list[str] = _WORD.findall(text.lower()) or [text]
    sums: dict[int, float] = {}
    for feature in (*words, *map(" ".join, pairwise(words))):
        digest = blake2b(feature.encode(), digest_size=4 * _MARKS).digest()
        for start in range(0, len(digest), 4):
            mark = int.from_bytes(digest[start : start + 4], "big")
            at = (mark >> 1) % dimensions
            sums[at] = sums.get(at, 0) + (1 if mark & 1 else -1)
    # Opposite marks may cancel out; a vector must not be zero.
    length = sqrt(sum(value * value for value in sums.values())) or 1
    numbers = array("f", bytes(4 * dimensions))
    for at, value in sums.items():
        numbers[at] = value / length
    return numbers


def _texts(value: object) -> tuple[str, ...] | None:
    """Token arrays, which OpenAI accepts too, are not texts."""
    rows = [value] if isinstance(value, str) else as_array(value)
    texts = tuple(row for row in rows or [] if isinstance(row, str) and row)
    return texts if rows and len(texts) == len(rows) else None

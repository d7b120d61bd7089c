"""How often pairs of questions are taken for the same, by their similarity and with the guard: pure, over vectors."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from streams.semantic.embedder import Vector
from streams.semantic.guard import guard_of, is_alike

PAIRS = Path(__file__).with_name("semantic_pairs.txt")
STORED = Path(__file__).with_name("semantic_similarities.json")
PARAPHRASE = "paraphrase"
"""Of this kind one answer serves both questions; of every other kind it does not."""
THRESHOLDS = (0.85, 0.88, 0.90, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99)


@dataclass(frozen=True, slots=True)
class Pair:
    kind: str
    one: str
    other: str


@dataclass(frozen=True, slots=True)
class Judged:
    """`is_alike`: the guard lets the pair through. `is_whole`: the model sees all of both questions; it makes no vector
    of others.
    """

    pair: Pair
    similarity: float
    is_alike: bool
    is_whole: bool = True

    def is_hit(self, threshold: float, *, guarded: bool) -> bool:
        return self.similarity >= threshold and ((self.is_alike and self.is_whole) or not guarded)


def read_pairs(path: Path = PAIRS) -> list[Pair]:
    """Raises ValueError, naming the line, where one is no pair or belongs to no kind."""
    found: list[Pair] = []
    kind = ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if text.startswith("["):
            kind = text.strip("[]")
            continue
        one, bar, other = text.partition(" | ")
        if not kind or not bar:
            raise ValueError(f"{path.name}:{number}: write it as `one question | another`, under a [kind]")
        found.append(Pair(kind, one, other))
    return found


def stored(pairs: Sequence[Pair], path: Path = STORED) -> list[Judged]:
    """With the similarities as they were last measured, which takes minutes. Raises ValueError for a pair without."""
    known = {(one, other): measured for one, other, *measured in orjson.loads(path.read_bytes())}
    missing = [pair.one for pair in pairs if (pair.one, pair.other) not in known]
    if missing:
        raise ValueError(f"{len(missing)} pairs were not measured, such as {missing[0]!r}; run the measurement again")
    return [Judged(pair, similarity, _passes(pair), is_whole) for pair, similarity, is_whole in _measured(pairs, known)]


def _measured(pairs: Sequence[Pair], known: Mapping[tuple[str, str], list[Any]]) -> Iterator[tuple[Pair, float, bool]]:
    for pair in pairs:
        similarity, *rest = known[pair.one, pair.other]
        yield pair, similarity, not rest


def store(judged: Sequence[Judged], path: Path = STORED) -> None:
    """With a word where the model does not see all of it."""
    lines = [
        orjson.dumps(
            [each.pair.one, each.pair.other, round(each.similarity, 4), *([] if each.is_whole else ["in part"])]
        )
        for each in judged
    ]
    path.write_bytes(b"[\n" + b",\n".join(lines) + b"\n]\n")


def judge(
    pairs: Sequence[Pair], embed: Callable[[str], Vector], embed_whole: Callable[[str], Vector | None]
) -> list[Judged]:
    """`embed` makes a vector of what it sees, `embed_whole` only where that is all."""
    texts = {each for pair in pairs for each in (pair.one, pair.other)}
    whole = {text: embed_whole(text) for text in texts}
    vectors = {text: _floats(whole[text] or embed(text)) for text in texts}
    return [
        Judged(
            pair,
            float(vectors[pair.one] @ vectors[pair.other]),
            _passes(pair),
            whole[pair.one] is not None and whole[pair.other] is not None,
        )
        for pair in pairs
    ]


def rate(judged: Sequence[Judged], threshold: float, *, guarded: bool) -> float:
    """Of the pairs, those that would be given the other's answer; 0 where there are none."""
    hits = sum(each.is_hit(threshold, guarded=guarded) for each in judged)
    return hits / len(judged) if judged else 0.0


def split(judged: Sequence[Judged]) -> tuple[list[Judged], list[Judged]]:
    """Pairs that may share an answer, and those that must not."""
    return (
        [each for each in judged if each.pair.kind == PARAPHRASE],
        [each for each in judged if each.pair.kind != PARAPHRASE],
    )


def _passes(pair: Pair) -> bool:
    one, other = guard_of(pair.one), guard_of(pair.other)
    return one is not None and other is not None and is_alike(one, other)


def _floats(vector: Vector) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    return np.frombuffer(vector, dtype="<f2").astype(np.float32)

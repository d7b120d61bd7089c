"""Plausible filler: sentences of common words, cut from one long text per seed.

Each word, capitalised or not, and each mark is one token in every vocabulary here, so a text of N pieces is N tokens.
"""

from pathlib import Path
from random import Random

from scripts.simulator.tokens import NOTHING, Pieces

WORDS = tuple(Path(__file__).with_name("words.txt").read_text(encoding="ascii").split())
_SHORTEST_SENTENCE = 6
_LONGEST_SENTENCE = 14


class Prose:
    """`longest` is the most tokens one text may have."""

    def __init__(self, seed: int, longest: int) -> None:
        dice = Random(seed)  # noqa: S311 - a replayable text, nothing secret
        self._longest = longest
        self._pieces: list[str] = []
        self._starts: list[int] = []
        # Twice the longest text leaves as many different beginnings as there are sentences in one.
        while len(self._pieces) < 2 * longest + _LONGEST_SENTENCE:
            self._starts.append(len(self._pieces))
            words = dice.choices(WORDS, k=dice.randint(_SHORTEST_SENTENCE, _LONGEST_SENTENCE))
            self._pieces += [f" {words[0].capitalize()}", *(f" {word}" for word in words[1:]), "."]
        self._starts = [start for start in self._starts if start + longest <= len(self._pieces)]

    def text(self, number: int, tokens: int) -> Pieces:
        """Exactly `tokens` tokens (at most the longest) that begin with the sentence `number` picks."""
        tokens = min(tokens, self._longest)
        if tokens <= 0:
            return NOTHING
        start = self._starts[number % len(self._starts)]
        first, *rest = self._pieces[start : start + tokens]
        return Pieces((first.lstrip(), *rest), (1,) * tokens)

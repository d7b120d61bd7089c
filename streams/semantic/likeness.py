"""Kept answers by what their questions mean: compared one by one, within a frame, which takes less than a millisecond
for as many as there is room for.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from schemas.flow import Meaning
from streams.semantic.guard import Guard, is_alike

VECTOR_ROOM_BYTES = 3_500
"""What a vector takes among others, with room to grow."""
_FIRST_ROOM = 4

Floats = NDArray[np.float32]


class Nearest(Struct, frozen=True):
    """`entry` is the most similar that is alike, if there is one. `refused`: more similar yet, and not alike."""

    entry: str | None
    similarity: float
    refused: float | None


class Likeness:
    """By frame. What is dropped leaves its place to the last one."""

    def __init__(self) -> None:
        self._frames: dict[str, _Frame] = {}
        self._frame_of: dict[str, str] = {}

    def add(self, entry: str, meaning: Meaning) -> None:
        self.drop(entry)
        self._frames.setdefault(meaning.frame, _Frame()).add(entry, meaning)
        self._frame_of[entry] = meaning.frame

    def drop(self, entry: str) -> None:
        name = self._frame_of.pop(entry, None)
        if name is None:
            return
        self._frames[name].drop(entry)
        if not self._frames[name].entries:
            del self._frames[name]

    def nearest(self, meaning: Meaning, threshold: float, is_good: Callable[[str], bool]) -> Nearest | None:
        """Of those that are good and at least so similar; None when there is none."""
        frame = self._frames.get(meaning.frame)
        return None if frame is None else frame.nearest(meaning, threshold, is_good)


class _Frame:
    def __init__(self) -> None:
        self.entries: list[str] = []
        self._guards: list[Guard] = []
        self._places: dict[str, int] = {}
        self._vectors: Floats | None = None

    def add(self, entry: str, meaning: Meaning) -> None:
        vector = _floats(meaning.vector)
        place = len(self.entries)
        self._vectors = _with_room(self._vectors, place, len(vector))
        self._vectors[place] = vector
        self._places[entry] = place
        self.entries.append(entry)
        self._guards.append(_guard(meaning))

    def drop(self, entry: str) -> None:
        place = self._places.pop(entry)
        last, guard = self.entries.pop(), self._guards.pop()
        if last != entry and self._vectors is not None:
            self.entries[place], self._guards[place], self._places[last] = last, guard, place
            self._vectors[place] = self._vectors[len(self.entries)]

    def nearest(self, meaning: Meaning, threshold: float, is_good: Callable[[str], bool]) -> Nearest | None:
        if self._vectors is None:
            return None
        likeness = self._vectors[: len(self.entries)] @ _floats(meaning.vector)
        (close,) = np.nonzero(likeness >= threshold)
        asked, refused = _guard(meaning), None
        places: list[int] = close[np.argsort(-likeness[close])].tolist()
        for place in places:
            similarity = min(round(float(likeness[place]), 4), 1.0)
            if not is_good(self.entries[place]):
                continue
            if is_alike(asked, self._guards[place]):
                return Nearest(self.entries[place], similarity, refused)
            refused = similarity if refused is None else refused
        return None if refused is None else Nearest(None, 0.0, refused)


def _with_room(vectors: Floats | None, place: int, size: int) -> Floats:
    if vectors is None:
        return np.zeros((_FIRST_ROOM, size), dtype=np.float32)
    return vectors if place < len(vectors) else np.concatenate([vectors, np.zeros_like(vectors)])


def _floats(vector: bytes) -> Floats:
    found: Any = np.frombuffer(vector, dtype="<f2")
    return found.astype(np.float32)


def _guard(meaning: Meaning) -> Guard:
    return Guard(meaning.must, meaning.words, meaning.order, meaning.whose)

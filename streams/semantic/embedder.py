"""What makes a vector of a sentence, as decisions see it."""

from typing import Literal, Protocol

Vector = bytes
"""Of unit length: 16-bit floats, the lowest byte first."""
Unready = Literal["pending", "unavailable"]


PATIENCE_S = 5.0
"""So long a question waits for its vector at the most; then it goes on without."""


class Embedder(Protocol):
    """`name` is part of each frame, so that vectors of different models are never compared."""

    @property
    def name(self) -> str: ...

    def vector(self, text: str) -> Vector | Unready:
        """At once. "pending": it is being made, ask again soon. "unavailable": do without."""
        ...


class UnfitModelError(Exception):
    """The model's files are not those that were measured."""

"""Finding the row that spoils a batch, with about 2·log₂(n) attempts. No input or output of its own."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    index: int
    reason: str


def first_refused(start: int, stop: int, attempt: Callable[[int, int], str | None]) -> Refusal | None:
    """The first position in [start, stop) that is refused on its own; None when all are accepted.

    `attempt(start, stop)` takes a whole range or none of it and returns None, or says why it was refused. Every
    position before the one returned has been accepted. A range that is refused while both its halves are accepted
    spoils nothing: no position is blamed for the company it keeps.
    """
    reason = attempt(start, stop)
    if reason is None:
        return None
    if stop - start == 1:
        return Refusal(start, reason)
    middle = (start + stop) // 2
    return first_refused(start, middle, attempt) or first_refused(middle, stop, attempt)

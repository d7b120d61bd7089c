"""Finding the rows that spoil a batch, with about 2·log₂(n) attempts for one of n. No input or output of its own."""

from collections.abc import Callable, Iterator

from sinks.protocol import Refusal


def refused(start: int, stop: int, attempt: Callable[[int, int], str | None]) -> Iterator[Refusal]:
    """The positions in [start, stop) that are refused on their own, in order; all others have been accepted.

    `attempt(start, stop)` takes a whole range or none of it and returns None, or says why it was refused. A range that
    is refused while both its halves are accepted spoils nothing: no position is blamed for the company it keeps. Where
    every position is refused that is two attempts for each.
    """
    reason = attempt(start, stop)
    if reason is None:
        return
    if stop - start == 1:
        yield Refusal(start, reason)
        return
    middle = (start + stop) // 2
    yield from refused(start, middle, attempt)
    yield from refused(middle, stop, attempt)

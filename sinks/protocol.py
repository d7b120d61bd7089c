"""What a sink promises the loop that feeds it: a write that returns has stored every row; one that does not raises
one of two signals, and nothing else. Writing a row again, in any batch and in any order, never changes a result.
"""

from collections.abc import Sequence
from typing import Protocol

from schemas.call import CallRow


class Unavailable(Exception):
    """The store cannot take rows now: down, overloaded, read-only, too slow, or not set up.

    None of it is the fault of a row, so nothing may be dropped: wait `retry_after_s` seconds and write the same rows
    again, for as long as it takes. Some of them may be stored already.
    """

    def __init__(self, reason: str, *, retry_after_s: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s


class RowRefused(Exception):
    """`rows[index]` can never be stored, whoever asks and whenever.

    All rows before it are stored. Keep the row elsewhere, with the reason, and go on with `rows[index + 1:]`.
    """

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"row {index}: {reason}")
        self.index = index
        self.reason = reason


class Sink(Protocol):
    """Not safe for use by several threads at once; several sinks may write to one store."""

    def write(self, rows: Sequence[CallRow]) -> None:
        """Returns when every row is stored durably. Raises Unavailable or RowRefused."""
        ...

    def close(self) -> None:
        """Lets go of connections; waits for nothing and never fails. A closed sink cannot be written to."""
        ...

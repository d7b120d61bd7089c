"""What a sink promises the loop that feeds it: a write that returns has stored every row but those it names; one that
does not raises Unavailable, and nothing else. Writing a row again, in any batch and in any order, never changes a
result.
"""

from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Refusal:
    """The row at `index` of what was written can never be stored, whoever asks and whenever: keep it elsewhere."""

    index: int
    reason: str


class Sink(Protocol):
    """Not safe for use by several threads at once; several sinks may write to one store."""

    def write(self, rows: Sequence[CallRow]) -> Sequence[Refusal]:
        """Returns when every row is stored durably, but for those it returns, in order. Raises Unavailable."""
        ...

    def close(self) -> None:
        """Lets go of connections; waits for nothing and never fails. A closed sink cannot be written to."""
        ...

"""Notices when what was read does not get committed: Faust may lose its place among finished events for good."""

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

Where = TypeVar("Where", bound=Hashable)


class CommitsStuckError(Exception):
    """What was handled is not committed: only a new start makes progress."""


class Commits(Generic[Where]):
    """One mark per partition: what had been read at some time must be committed within `within_ms` of it."""

    def __init__(self, within_ms: int) -> None:
        self._within_ms = within_ms
        self._marks: dict[Where, tuple[int, int]] = {}

    def forget(self) -> None:
        """Partitions have moved: what is read is read anew."""
        self._marks.clear()

    def look(self, now_ms: int, read: Mapping[Where, int], committed: Mapping[Where, int]) -> None:
        """`read`: the last offset read of each partition; `committed`: the next to be read after a restart.

        Raises CommitsStuckError.
        """
        for where, last in read.items():
            awaited, since_ms = self._marks.get(where, (0, now_ms))
            if committed.get(where, 0) >= awaited:
                self._marks[where] = (last + 1, now_ms)
            elif now_ms - since_ms > self._within_ms:
                raise CommitsStuckError(
                    f"{where}: what was read {(now_ms - since_ms) // 1_000} s ago is not committed. "
                    "No need to act where the process is started again"
                )

"""What every fault can do."""

from collections.abc import Mapping
from typing import Protocol


class Fault(Protocol):
    def hindrance(self) -> str:
        """Why it must not happen now, in words; empty when nothing is in its way."""
        ...

    def describe(self) -> Mapping[str, object]:
        """For the journal, just before it happens: the pid it hits, how much of it there is."""
        ...

    def inject(self) -> None: ...

    def heal(self) -> None:
        """Undo it. May be called for one that is undone already."""
        ...

    def recovered(self) -> bool:
        """Whether what it hit works again."""
        ...

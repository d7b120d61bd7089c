"""How often something was checked, how often it did not hold, and the first cases in words."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from scripts.chaos.verify.facts import Seen
from scripts.chaos.verify.snapshot import Snapshot

MOST_EXAMPLES = 10


@dataclass(slots=True)
class Tally:
    """`words` is the invariant itself."""

    name: str
    words: str
    checks: int = 0
    violations: int = 0
    examples: list[str] = field(default_factory=list[str])

    def hold(self, example: str | None) -> None:
        """Counts one check; `example` says in words how it failed, None that it did not."""
        self.checks += 1
        if example is not None:
            self.violations += 1
            if len(self.examples) < MOST_EXAMPLES:
                self.examples.append(example)


class Invariant(Protocol):
    """Folds what is read. `waits` says what is still open, in words: while anything is, nothing has settled."""

    @property
    def tallies(self) -> Sequence[Tally]: ...

    def take(self, seen: Seen, /) -> None:
        """A record, in the order of its partition."""
        ...

    def look(self, snapshot: Snapshot, /) -> None:
        """Comes after every record that was there when it was taken."""
        ...

    def waits(self) -> Sequence[str]: ...

    def end(self, snapshot: Snapshot, /) -> None:
        """The last word: nothing comes any more, so what is open now is missing. `snapshot` is whole."""
        ...

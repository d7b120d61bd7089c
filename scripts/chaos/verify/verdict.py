"""What the verifier says, for the conductor as a file and for people as a table."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from schemas.base import dump_json
from scripts.chaos.verify.tally import Tally
from scripts.cli.screen import show_table

State = Literal["watching", "settled", "final"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`sent`: records on llm.requests. `repeated`: paid calls beyond those of each request's first completion, known at
    the end. `waits`: why it has not settled, in words.
    """

    state: State
    at_ms: int
    sent: int
    answered: int
    open: int
    billed: int
    repeated: int
    waits: Sequence[str]
    invariants: Sequence[Tally]

    @property
    def is_sound(self) -> bool:
        return not any(tally.violations for tally in self.invariants)

    def encode(self) -> bytes:
        return dump_json(asdict(self)) + b"\n"


def write(verdict: Verdict, file: Path) -> None:
    """Whole or not at all: a reader never sees half of it."""
    draft = file.with_suffix(".draft")
    draft.write_bytes(verdict.encode())
    draft.replace(file)


def show(verdict: Verdict) -> None:
    show_table(
        ("invariant", "checks", "violations", "in words"),
        [(tally.name, tally.checks, tally.violations, tally.words) for tally in verdict.invariants],
        right=("checks", "violations"),
    )
    print(f"{verdict.sent} requests, {verdict.answered} answered, {verdict.open} open")
    print(f"{verdict.billed} calls on the bill, {verdict.repeated} of them repeated")
    for tally in verdict.invariants:
        for example in tally.examples:
            print(f"{tally.name}: {example}")
    print("nothing was violated" if verdict.is_sound else "violated")

"""Whether the verifier had anything to look at: an invariant that was never checked has not held."""

from collections.abc import Iterable
from typing import Final

from scripts.chaos.verdict import Invariant, judged

LONG_ENOUGH_MINUTES: Final = 2.0
MAY_BE_IDLE: Final = {
    "unknown is not nothing": "with few faults every attempt has a cost that is known",
    "repeats explained": "where nothing could be paid for there are no calls to repeat",
}
"""Invariants, and why a sound run may have nothing for them."""


def all_checked(minutes: float, verdict: Iterable[Invariant]) -> Invariant:
    """A check is an invariant; a run of less than LONG_ENOUGH_MINUTES owes none."""
    owed = [each for each in verdict if minutes >= LONG_ENOUGH_MINUTES and each.name not in MAY_BE_IDLE]
    return judged("every invariant was checked", len(owed), [f"{each.name}: never" for each in owed if not each.checks])

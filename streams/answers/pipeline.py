"""All steps in their order. The first that finds the answer wanting is the last that looks at it."""

from collections.abc import Callable, Sequence
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from schemas.flow import Answer
from streams.answers import confidence, length, refusal, strip, structure, truncation
from streams.answers.step import Changed, Draft, Noted, Step, Wanting

STEPS: tuple[Step, ...] = (
    strip.STEP,
    refusal.STEP,
    truncation.STEP,
    structure.STEP,
    length.STEP,
    confidence.STEP,
)
"""Form first; then whether it is an answer at all, and whole; then what it says. What was declined is not mended."""


class Processed(Struct, frozen=True):
    """`steps`: what each did or noted, where it did. `step_us`: microseconds, of all that were taken."""

    answer: Answer
    steps: dict[str, str]
    step_us: dict[str, int]
    wanting: Wanting | None = None


def process(draft: Draft, clock_us: Callable[[], int], steps: Sequence[Step] = STEPS) -> Processed:
    """`clock_us` need only go forward."""
    said: dict[str, str] = {}
    took_us: dict[str, int] = {}
    for step in steps:
        if not step.applies(draft):
            continue
        since_us = clock_us()
        finding = step.take(draft)
        took_us[step.name] = clock_us() - since_us
        match finding:
            case None:
                pass
            case Noted(note):
                said[step.name] = note
            case Changed(output, note):
                said[step.name] = note
                draft = replace(draft, answer=replace(draft.answer, output=output))
            case Wanting(note):
                said[step.name] = note
                return Processed(draft.answer, said, took_us, finding)
            case _ as unreachable:
                assert_never(unreachable)
    return Processed(draft.answer, said, took_us)

"""A request's attempts as the runs they belong to: one worker's way through the plan, from its first attempt on."""

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.call import PHASE_VERSION
from scripts.chaos.verify.attempts import Attempts

WRITTEN_MS = 2_000
"""From the bill's line of an answer to what the worker writes of it, while nothing is broken."""


@dataclass(frozen=True, slots=True)
class Run:
    """Times are UTC in milliseconds. `completed_ms`: when a completion named it, None when none has. `is_waiting`: its
    last attempt has failed and another was due, so that it was between two calls when nothing more was heard of it.
    """

    attempts: tuple[str, ...]
    started_ms: int
    ended_ms: int
    completed_ms: int | None
    is_waiting: bool


def runs_of(attempt_ids: Iterable[str], known: Attempts) -> list[Run]:
    """Of one request, by when they began. Attempts without a started row are somebody else's business."""
    begun = {each: started_ms for each in attempt_ids if (started_ms := known.by_id[each].started_ms) is not None}
    # which attempts belong together a completion says; without one it is their numbers, one after the other
    chains = {
        ended: [each for each in ended.attempts if each in begun] for ended in map(known.ends.get, begun) if ended
    }
    alone: list[list[str]] = []
    for attempt_id in sorted(begun, key=begun.__getitem__):
        if attempt_id in known.ends:
            continue
        number = known.by_id[attempt_id].number
        before = [
            chain
            for chain in alone
            if known.by_id[chain[-1]].number == number - 1 and _ended_ms(chain[-1], known) <= begun[attempt_id]
        ]
        if before:
            before[-1].append(attempt_id)
        else:
            alone.append([attempt_id])
    return sorted((_run(chain, known) for chain in (*chains.values(), *alone)), key=lambda run: run.started_ms)


def _run(chain: list[str], known: Attempts) -> Run:
    last = known.by_id[chain[-1]]
    end = known.ends.get(chain[-1])
    return Run(
        attempts=tuple(chain),
        started_ms=known.by_id[chain[0]].started_ms or 0,
        ended_ms=end.at_ms if end is not None else _ended_ms(chain[-1], known),
        completed_ms=None if end is None else end.at_ms,
        is_waiting=end is None and last.phase == PHASE_VERSION["settled"],
    )


def _ended_ms(attempt_id: str, known: Attempts) -> int:
    attempt = known.by_id[attempt_id]
    if attempt.ended_ms is not None:
        return attempt.ended_ms
    return (attempt.billed_ms or attempt.started_ms or 0) + WRITTEN_MS

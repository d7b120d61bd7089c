"""A recorded hour of somebody's requests: when each came, how long its prompt was, and how long the answer."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from scripts.bench.figure import quantile
from scripts.bench.load.job import Answered
from scripts.bench.provider.pace import Pace

_SHARES: Final = (0.5, 0.95, 0.99)


class UnreadableTrace(Exception):
    """The file is no trace; the message names the line."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """`at_s`: since the first. Lengths are in tokens, at least one."""

    at_s: float
    prompt_tokens: int
    answer_tokens: int


def read(path: Path) -> list[Arrival]:
    """In order of time. Raises UnreadableTrace."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return parse(file, path.name)
    except OSError as error:
        raise UnreadableTrace(f"{path} cannot be read: {error.strerror}") from error


def parse(lines: Iterable[str], name: str) -> list[Arrival]:
    """A CSV with the columns TIMESTAMP, ContextTokens and GeneratedTokens, as Azure publishes its traces."""
    found: list[tuple[datetime, int, int]] = []
    rows = csv.DictReader(lines)
    for row in rows:
        try:
            lengths = max(int(row["ContextTokens"]), 1), max(int(row["GeneratedTokens"]), 1)
            found.append((datetime.fromisoformat(row["TIMESTAMP"]), *lengths))
        except (KeyError, TypeError, ValueError) as error:
            raise UnreadableTrace(f"{name}, line {rows.line_num}: {error}") from error
    if not found:
        raise UnreadableTrace(f"{name} has no requests")
    found.sort()
    first = found[0][0]
    return [Arrival((at - first).total_seconds(), prompt, answer) for at, prompt, answer in found]


def due_s(arrivals: Sequence[Arrival], speed: float) -> list[float]:
    return [each.at_s / speed for each in arrivals]


def by_minute(arrivals: Sequence[Arrival], answers: Sequence[Answered], pace: Pace) -> list[dict[str, Any]]:
    """For each minute of the trace that had any: how many requests, and quantiles in milliseconds.

    `added_ms` is all but what the provider takes by its pace; `queue_ms` is the wait for a place at the provider, from
    the end of routing, by the response's own stamps.
    """
    minutes: dict[int, list[Answered]] = {}
    for each in answers:
        minutes.setdefault(int(arrivals[each.number].at_s // 60), []).append(each)
    return [
        {
            "minute": minute,
            "requests": len(heard),
            "added_ms": quantiles([added_ms(arrivals[each.number], each, pace) for each in heard]),
            "queue_ms": quantiles([queue_ms(each) for each in heard]),
        }
        for minute, heard in sorted(minutes.items())
    ]


def added_ms(arrival: Arrival, answered: Answered, pace: Pace) -> float:
    return answered.latency_ms - pace.seconds(arrival.prompt_tokens, arrival.answer_tokens) * 1000


def queue_ms(answered: Answered) -> float:
    routed, invoked = (answered.stages_ms.get(stage, 0.0) for stage in ("route", "invoke"))
    return max(invoked - routed - (answered.provider_ms or 0), 0.0)


def quantiles(values: Sequence[float]) -> dict[str, float]:
    return {f"p{share * 100:g}": round(quantile(values, share), 1) for share in _SHARES}

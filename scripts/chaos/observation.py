"""What every process takes of the machine, and how far every consumer group is behind, at one moment."""

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Taken:
    """`rss_kb` is memory in use, `files` counts open descriptors, sockets included."""

    pid: int
    rss_kb: int
    threads: int
    files: int


@dataclass(frozen=True, slots=True)
class Observation:
    """`lag` is None while no broker can tell it, and `without_lag` says why."""

    at_ms: int
    processes: Mapping[str, Taken] = field(default_factory=dict[str, Taken])
    lag: Mapping[str, int] | None = None
    without_lag: str = ""

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value not in (None, "")}


def taken(pids: Mapping[str, int]) -> dict[str, Taken]:
    """Without those that have just ended; nothing where the system has no /proc."""
    found: dict[str, Taken] = {}
    for name, pid in pids.items():
        with contextlib.suppress(OSError, KeyError, ValueError):
            found[name] = _taken(pid)
    return found


def _taken(pid: int) -> Taken:
    folder = Path(f"/proc/{pid}")
    lines = (line.partition(":") for line in (folder / "status").read_text().splitlines())
    status = {name: value.split() for name, _, value in lines}
    return Taken(
        pid,
        rss_kb=int(status["VmRSS"][0]),
        threads=int(status["Threads"][0]),
        files=sum(1 for _ in (folder / "fd").iterdir()),
    )

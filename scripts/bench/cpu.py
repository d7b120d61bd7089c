"""What the operating system has booked on a process: CPU of all its threads, and the most memory it ever held."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PEAK: Final = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)
_RESIDENT: Final = re.compile(r"^VmRSS:\s+(\d+) kB$", re.MULTILINE)


class ProcessGone(Exception):
    """A process that is being measured has ended, so that what it used is not known any more."""


def cpu_s(pid: int) -> float:
    """User and system time since its start, in steps of the kernel's tick (10 ms). Raises ProcessGone."""
    return ticks(_proc(pid, "stat")) / _TICKS_PER_S


def taken(pids: Mapping[str, int]) -> dict[str, float]:
    """`cpu_s` by name."""
    return {name: cpu_s(pid) for name, pid in pids.items()}


def peak_rss_mb(pid: int) -> float:
    return _kib(_PEAK, pid) / 1024


def rss_mb(pid: int) -> float:
    return _kib(_RESIDENT, pid) / 1024


def ticks(stat: str) -> int:
    """The user and system time of the line in /proc/<pid>/stat: a program's name may hold blanks and brackets."""
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _kib(field: re.Pattern[str], pid: int) -> int:
    found = field.search(_proc(pid, "status"))
    if found is None:
        raise ProcessGone(f"process {pid} has no memory any more")
    return int(found[1])


def _proc(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError as error:
        raise ProcessGone(f"process {pid} ended while it was measured: look at its log") from error

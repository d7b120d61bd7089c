"""What the operating system has booked on a process: CPU of all its threads, and the most memory it ever held."""

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_SCHEDULED: Final = 2
"""clock_getcpuclockid(3), which Python does not have: the id is made of the pid, and of the kind of clock."""
_PEAK: Final = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)
_RESIDENT: Final = re.compile(r"^VmRSS:\s+(\d+) kB$", re.MULTILINE)


class ProcessGone(Exception):
    """A process that is being measured has ended, so that what it used is not known any more."""


def cpu_s(pid: int) -> float:
    """User and system time since its start. Raises ProcessGone.

    From the kernel's CPU clock of that process: what /proc/<pid>/stat counts, but in nanoseconds instead of ticks of
    10 ms, which are more than a stage spends on a hundred requests.
    """
    try:
        return time.clock_gettime((~pid << 3) | _SCHEDULED)
    except OSError as error:
        raise ProcessGone(f"process {pid} ended while it was measured: look at its log") from error


def taken(pids: Mapping[str, int]) -> dict[str, float]:
    """`cpu_s` by name."""
    return {name: cpu_s(pid) for name, pid in pids.items()}


def peak_rss_mb(pid: int) -> float:
    return _kib(_PEAK, pid) / 1024


def rss_mb(pid: int) -> float:
    return _kib(_RESIDENT, pid) / 1024


def _kib(field: re.Pattern[str], pid: int) -> int:
    try:
        found = field.search(Path(f"/proc/{pid}/status").read_text())
    except OSError:
        found = None
    if found is None:
        raise ProcessGone(f"process {pid} ended while it was measured: look at its log")
    return int(found[1])

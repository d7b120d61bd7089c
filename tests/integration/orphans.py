"""Parents to be killed, and whether what they started is gone."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def start_parent(program: str, *arguments: str, env: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
    """A Python process that can import this project and whose output is read line by line."""
    return subprocess.Popen(  # noqa: S603 - the program is a literal of the test
        [sys.executable, "-c", program, *arguments],
        env=env,
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def first_line(parent: "subprocess.Popen[str]") -> str:
    assert parent.stdout is not None
    return parent.stdout.readline().strip()


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet counts."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"

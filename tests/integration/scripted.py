"""A command of `scripts`, begun as a user would, in a folder of its own: so it does not meet one that is going on."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def begin(module: str, folder: Path, *arguments: str, errors_apart: bool = True) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603  # our own words
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},  # noqa: TID251  # the environment of this run
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if errors_apart else subprocess.STDOUT,
        text=True,
    )


def left_running(folder: Path) -> list[str]:
    """Command lines that name the folder."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended while we looked
            found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in found if str(folder) in line]

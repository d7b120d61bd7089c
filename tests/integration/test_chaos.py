"""`make chaos`, as a person runs it: two minutes in which everything is broken, and every promise is kept."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from scripts.chaos.kinds import LANES, Option

pytestmark = [pytest.mark.integration, pytest.mark.long]

ROOT = Path(__file__).parents[2]
SEED = 1
MINUTES = 2
# The load goes on for MINUTES however busy the machine is; starting and settling take what it lets them.
WITHIN_S = 540


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """In a folder of its own, so that it does not meet another run."""
    return subprocess.Popen(  # noqa: S603  # our own words
        [sys.executable, "-m", "scripts.chaos", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},  # noqa: TID251  # the environment of this run
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left_running(folder: Path) -> list[str]:
    """Command lines that name the folder."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended while we looked
            found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in found if str(folder) in line]


@pytest.mark.timeout(WITHIN_S + 30)
def test_two_minutes_of_faults_break_no_promise(tmp_path: Path) -> None:
    chaos = start(tmp_path, "--seed", str(SEED), "--minutes", str(MINUTES), "--rate", "12", "--json")
    output, told = chaos.communicate(timeout=WITHIN_S)
    report: dict[str, Any] = orjson.loads(output)
    assert [each for each in report["invariants"] if each["violations"]] == [], told
    assert chaos.returncode == 0, told
    assert report["answered"] > 0
    assert sum(sum(parts.values()) for parts in report["faults"].values()) >= 12
    assert {"kill", "term", "freeze"} <= set(report["faults"])
    injected = {
        Option(kind, part) for kind, parts in report["faults"].items() for part, count in parts.items() if count
    }
    assert [lane for lane, options in LANES.items() if injected.isdisjoint(options)] == []
    unchecked = [each["name"] for each in report["invariants"] if not each["checks"]]
    assert unchecked == []
    assert report["replay"] == f"make chaos SEED={SEED} MINUTES={MINUTES} RATE=12"
    assert left_running(tmp_path) == []


@pytest.mark.timeout(240)
def test_a_run_that_is_interrupted_stops_all_it_started(tmp_path: Path) -> None:
    chaos = start(tmp_path, "--seed", "1", "--minutes", "1", "--rate", "5")
    assert chaos.stdout is not None
    for line in chaos.stdout:
        if "starting the stages" in line:
            break
    chaos.send_signal(signal.SIGTERM)
    output, told = chaos.communicate(timeout=120)
    assert chaos.returncode == 130, output + told
    assert "everything that was started has been ended" in output
    assert left_running(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(("--faults", "explode"), "there are cut"), (("--minutes", "0.1"), "at least 0.75 minutes")],
)
def test_a_run_that_makes_no_sense_is_refused_in_a_sentence(
    tmp_path: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    chaos = start(tmp_path, *arguments)
    output, told = chaos.communicate(timeout=60)
    assert chaos.returncode == 2
    assert complaint in output
    assert "Traceback" not in told
    assert not (tmp_path / ".millrace").exists()

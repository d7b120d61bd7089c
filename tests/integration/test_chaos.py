"""`make chaos`, as a person runs it: two minutes in which everything is broken, and every promise is kept."""

import signal
from pathlib import Path
from typing import Any

import orjson
import pytest

from scripts.chaos.kinds import LANES, Option
from scripts.stack.lock import exclusive
from tests.integration.scripted import begin, left_running

pytestmark = [pytest.mark.integration, pytest.mark.long]

SEED = 1
MINUTES = 2
# The load goes on for MINUTES however busy the machine is; starting and settling take what it lets them.
WITHIN_S = 540


@pytest.mark.timeout(WITHIN_S + 30)
def test_two_minutes_of_faults_break_no_promise(tmp_path: Path) -> None:
    chaos = begin("scripts.chaos", tmp_path, "--seed", str(SEED), "--minutes", str(MINUTES), "--rate", "12", "--json")
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
    chaos = begin("scripts.chaos", tmp_path, "--seed", "1", "--minutes", "1", "--rate", "5")
    assert chaos.stdout is not None
    for line in chaos.stdout:
        if "starting the stages" in line:
            break
    chaos.send_signal(signal.SIGTERM)
    output, told = chaos.communicate(timeout=120)
    assert chaos.returncode == 130, output + told
    assert "everything that was started has been ended" in output
    assert left_running(tmp_path) == []


def test_a_run_whose_folder_cannot_be_made_or_is_in_use_is_refused_in_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / ".millrace" / "chaos"
    folder.mkdir(parents=True)
    with exclusive(folder / "5.lock", wait=False):
        chaos = begin("scripts.chaos", tmp_path, "--seed", "5", "--minutes", "1")
        output, told = chaos.communicate(timeout=60)
    assert (chaos.returncode, "being run here already" in output, "Traceback" in told) == (2, True, False)

    (folder / "5.lock").unlink()
    folder.rmdir()
    folder.write_text("not a folder")
    chaos = begin("scripts.chaos", tmp_path, "--seed", "5", "--minutes", "1")
    output, told = chaos.communicate(timeout=60)
    assert (chaos.returncode, str(folder.name) in output, "Traceback" in told) == (2, True, False)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--faults", "explode"), "there are cut"),
        (("--faults", "[/x]"), "'[/x]' is no fault"),
        (("--minutes", "0.1"), "at least 0.75 minutes"),
        (("--minutes", "nan"), "at least 0.75 minutes"),
        (("--rate", "inf"), "requests a second"),
        (("--seed", "-5"), "0 or more"),
    ],
)
def test_a_run_that_makes_no_sense_is_refused_in_a_sentence(
    tmp_path: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    chaos = begin("scripts.chaos", tmp_path, *arguments)
    output, told = chaos.communicate(timeout=60)
    assert chaos.returncode == 2
    assert complaint in output
    assert "Traceback" not in told
    assert not (tmp_path / ".millrace").exists()

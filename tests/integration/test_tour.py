"""`make tour`, as a person runs it: everything happens, and what did not would be told."""

from pathlib import Path

import orjson
import pytest

from scripts.tour.__main__ import SCENES
from tests.integration.scripted import begin, left_running

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400), pytest.mark.long]


def test_everything_on_the_tour_happens(tmp_path: Path) -> None:
    tour = begin("scripts.tour", tmp_path, "--json")
    output, told = tour.communicate(timeout=360)
    assert tour.returncode == 0, told
    assert orjson.loads(output) == {scene.name: True for scene in SCENES}
    assert left_running(tmp_path) == []


def test_what_is_not_on_the_tour_is_told_with_what_is(tmp_path: Path) -> None:
    tour = begin("scripts.tour", tmp_path, "--only", "sunset", errors_apart=False)
    output, _ = tour.communicate(timeout=60)
    assert tour.returncode == 1
    assert "fallback" in output

"""`make bench`, as a person runs it, with a few hundred requests: all are answered, and the figures are there. What
they are depends on the machine, and is no test's business.
"""

import signal
from pathlib import Path
from typing import Any

import orjson
import pytest

from scripts.bench.plan import TINY
from scripts.bench.rig import APART, OURS
from tests.integration.scripted import begin, left_running

pytestmark = [pytest.mark.integration, pytest.mark.timeout(540), pytest.mark.long]

WITHIN_S = 500


def medians(figures: dict[str, Any]) -> list[float]:
    return [figure["median"] for figure in figures.values() if figure is not None]


@pytest.mark.endurance
def test_a_tiny_bench_answers_everything_and_has_every_figure(tmp_path: Path) -> None:
    bench = begin("scripts.bench", tmp_path, "run", "--plan", "tiny", "--json")
    output, told = bench.communicate(timeout=WITHIN_S)
    assert bench.returncode == 0, told
    result = orjson.loads(output)
    assert result == orjson.loads((tmp_path / "bench/results/latest.json").read_bytes())
    ratios = result["ratios"]
    assert ratios.pop("requests_per_cpu_second_to_litellm") is None
    assert "requests_per_cpu_second_to_litellm" in result["missing"]
    assert len(ratios) == 4
    assert all(ratio > 0 for ratio in ratios.values()), ratios
    assert result["throughput"].keys() == TINY.requests.keys()
    for name, measured in result["throughput"].items():
        assert measured["requests_per_s"]["median"] > 0, name
        assert measured["apart_cpu_us_per_request"].keys() == set(APART)
    assert result["stages"].keys() == set(OURS)
    assert result["latency"]["hops"]["answers"] == TINY.latency_s * TINY.latency_per_second
    assert result["latency"]["millrace"]["parts_ms"]["p50"].keys() == {*OURS, "delivery"} - {"sink", "watch"}
    assert result["provider"]["answers_per_s"] > 0
    assert result["seed"] == 7
    assert result["machine"]["cores"] > 0
    raw = list((tmp_path / "bench/results/raw/tiny").glob("*.json"))
    heard = [orjson.loads(each.read_bytes()) for each in raw]
    assert len(heard) == 2 * len(TINY.requests) + 3
    assert all(each["answered"] == each["sent"] and each["repeated"] == 0 for each in heard)
    assert "there is no bench/results/baseline.json" in told
    assert left_running(tmp_path) == []


def test_a_bench_that_is_interrupted_stops_all_it_started(tmp_path: Path) -> None:
    """By the signal of a Ctrl-C; with the other it is the same, and `make chaos` is ended by that one."""
    bench = begin("scripts.bench", tmp_path, "run", "--plan", "tiny")
    assert bench.stdout is not None
    for line in bench.stdout:
        if "starting the stages" in line:
            break
    bench.send_signal(signal.SIGINT)
    bench.communicate(timeout=120)
    assert bench.returncode == 130
    assert left_running(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "--plan", "huge"), "choose one of full, quick, tiny"),
        (("profile", "--stage", "nothing"), "choose one of validate"),
        (("replay", "--trace", "nothing.csv"), "nothing.csv"),
        (("sink", "--rows", "5"), "equal to 40000"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    bench = begin("scripts.bench", tmp_path, *arguments)
    output, told = bench.communicate(timeout=120)
    assert bench.returncode == 2
    assert said in " ".join((output + told).replace("│", " ").split())
    assert "Traceback" not in output + told
    assert not (tmp_path / ".millrace").exists()

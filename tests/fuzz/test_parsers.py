"""Whatever bytes come from outside, a parser returns or raises what it documents, and soon.

The same targets are fuzzed for as long as one likes, led by coverage, with `make fuzz`. What either finds is kept here.
"""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz import structured
from tests.fuzz.registry import TARGETS
from tests.fuzz.structured import inputs, survives
from tests.fuzz.target import Target

EXAMPLES = 150


@pytest.mark.parametrize("name", TARGETS)
def test_a_good_input_and_none_at_all_are_read(name: str) -> None:
    for seed in (*TARGETS[name].seeds, b""):
        TARGETS[name](seed)


@pytest.mark.parametrize("name", TARGETS)
def test_no_bytes_bring_a_parser_down(name: str) -> None:
    target = TARGETS[name]

    @settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(inputs(target))
    def each_survives(data: bytes) -> None:
        survives(target, data)

    each_survives()


def _reads_anything(_data: bytes) -> None:
    pass


def _falls_over_odd_lengths(data: bytes) -> None:
    if len(data) % 2:
        raise KeyError("odd")


def test_a_run_of_some_seconds_tells_how_much_it_tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(structured, "FOLDER", tmp_path)
    found = structured.run(Target("steady", "nobody's", _reads_anything, (b"{}",)), seconds=1)
    assert (found.result, found.crash, found.executions > 0) == ("clean", None, True)


def test_a_run_keeps_the_smallest_input_that_brought_its_target_down(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(structured, "FOLDER", tmp_path)
    found = structured.run(Target("odd", "nobody's", _falls_over_odd_lengths, (b"{}",)), seconds=60)
    assert found.result == "brought down: KeyError"
    assert found.crash is not None
    assert len(found.crash.read_bytes()) == 1

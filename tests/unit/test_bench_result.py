"""What a run found: shares of the added latency, ratios, the JSON that is kept, and the page that is made of it."""

from collections.abc import Mapping
from pathlib import Path

import orjson
import pytest

from scripts.bench import page, plots, report
from scripts.bench.concurrency import ideal_s
from scripts.bench.growth import Case, Grown, cases, told
from scripts.bench.latency import added_ms, breakdown
from scripts.bench.load.job import Answered, Heard
from scripts.bench.plan import TINY, Contender, Series
from scripts.bench.provider.capacity import Capacity
from scripts.bench.result import Findings, as_json
from scripts.bench.rig import APART, OURS

MACHINE: Mapping[str, object] = {
    "cores": 2,
    "cpu": "one",
    "memory_gib": 8,
    "python": "3.11",
    "load_average": 0.1,
    "versions": {},
}
STAGES = {"validate": 2.0, "limit": 5.0, "cache": 6.0, "route": 8.0, "invoke": 230.0}


def answered(number: int = 0, latency_ms: float = 250.0, cache: str = "none") -> Answered:
    return Answered(
        number=number,
        due_s=0.0,
        latency_ms=latency_ms,
        provider_ms=201.0,
        cache=cache,
        stages_ms=STAGES,
        answered_after_ms=240.0,
    )


def heard(cpu_s: Mapping[str, float], wall_s: float = 2.0, answers: list[Answered] | None = None) -> Heard:
    return Heard(
        sent=1_000,
        answered=1_000,
        repeated=0,
        statuses={"ok": 1_000},
        wall_s=wall_s,
        answers_after_s=wall_s,
        cpu_s={**dict.fromkeys((*OURS, *APART), 0.1), **cpu_s},
        generator_late_ms=0.2,
        answers=answers or [],
    )


def findings(missing: Mapping[str, str] | None = None, *, with_litellm: bool = True) -> Findings:
    ours = [heard({}), heard({"validate": 0.2}, wall_s=4.0)]
    floor = [heard({"floor": 0.4}, wall_s=1.0), heard({"floor": 0.45}, wall_s=1.0)]
    throughput: dict[Contender, list[Heard]] = {"floor": floor, "millrace": ours}
    if with_litellm:
        throughput["litellm"] = [heard({"litellm": 16.0}), heard({"litellm": 18.0})]
    latency: dict[Series, list[Heard]] = {
        "hops": [heard({}, answers=[answered(latency_ms=float(each)) for each in (10, 20, 30)])],
        "millrace": [heard({}, answers=[answered(latency_ms=20.0 + each) for each in (20, 30, 60)])],
        "millrace_hits": [heard({}, answers=[answered(latency_ms=9.0, cache="exact")])],
    }
    return Findings(TINY, 7, 1_750_000_000_000, MACHINE, Capacity(20_000, 40_000), throughput, latency, missing or {})


def test_ratios_are_taken_within_each_round_and_told_as_their_medians() -> None:
    result = as_json(findings())
    assert result["ratios_by_round"]["cpu_per_request_to_floor"]["rounds"] == pytest.approx([2.0, 2.0])
    assert result["ratios"] == {
        "cpu_per_request_to_floor": pytest.approx(2.0),
        "throughput_to_floor": pytest.approx((0.5 + 0.25) / 2),
        "requests_per_cpu_second_to_litellm": pytest.approx(20.0),
        "added_latency_p50_to_hops": pytest.approx((50 - TINY.provider_latency_ms) / 20, abs=1e-4),
        "added_latency_p99_to_hops": pytest.approx((80 - TINY.provider_latency_ms) / 30, abs=1e-4),
    }


def test_what_was_not_measured_is_null_with_the_reason() -> None:
    result = as_json(findings({"litellm": "not installed"}, with_litellm=False))
    assert result["ratios"]["requests_per_cpu_second_to_litellm"] is None
    assert result["missing"]["litellm"] == "not installed"
    assert "requests_per_cpu_second_to_litellm" in result["missing"]
    assert "litellm" not in result["throughput"]


def test_our_request_costs_what_all_our_processes_took_and_nobody_elses() -> None:
    result = as_json(findings())
    assert result["throughput"]["millrace"]["cpu_us_per_request"]["rounds"] == pytest.approx([800, 900])
    assert result["throughput"]["floor"]["cpu_us_per_request"]["rounds"] == pytest.approx([400, 450])
    assert result["stages"]["validate"]["cpu_us"]["rounds"] == pytest.approx([100, 200])
    assert result["throughput"]["millrace"]["apart_cpu_us_per_request"]["broker"]["median"] == pytest.approx(100)


def test_the_result_is_json() -> None:
    result = as_json(findings())
    assert orjson.loads(orjson.dumps(result)) == result


def test_added_latency_is_without_what_the_provider_was_told_to_take() -> None:
    rounds = heard({}, answers=[answered(latency_ms=250.0), answered(latency_ms=9.0, cache="exact")])
    assert added_ms("millrace", rounds, 200) == [50.0, -191.0]
    assert added_ms("hops", rounds, 200) == [250.0, 9.0]
    assert added_ms("millrace_hits", rounds, 200) == [9.0]


def test_every_millisecond_has_a_place() -> None:
    parts = breakdown([answered()], 0.5)
    assert parts == {
        "validate": 2.0,
        "limit": 3.0,
        "cache": 1.0,
        "route": 2.0,
        "invoke": 21.0,
        "postprocess": 10.0,
        "delivery": 10.0,
    }
    assert sum(parts.values()) == 250.0 - 201.0


def test_a_stage_that_stamps_and_then_answers_is_told_once() -> None:
    stamped = answered().model_copy(update={"stages_ms": {**STAGES, "postprocess": 240.0}})
    assert breakdown([stamped], 0.5) == breakdown([answered()], 0.5)


def test_the_page_keeps_what_people_wrote(tmp_path: Path) -> None:
    before = "# Performance\n\nOurs.\n\n<!-- bench -->\nold\n<!-- end of bench -->\n\nMore of ours.\n"
    path = tmp_path / "docs" / "performance.md"
    result = as_json(findings())
    drawn = plots.draw(result, path.with_suffix(""))
    after = page.written(before, "bench", page.figures(result, drawn, path))
    assert after.startswith("# Performance\n\nOurs.\n\n<!-- bench -->\n")
    assert after.endswith("<!-- end of bench -->\n\nMore of ours.\n")
    assert "old" not in after
    assert "![cpu](performance/cpu.svg)" in after
    assert page.written(after, "bench", "new") == before.replace("old", "\nnew\n")


def test_a_page_without_a_place_for_the_figures_is_told() -> None:
    with pytest.raises(page.NotMarked, match="replay"):
        page.written("nothing", "replay", "text")


def test_a_plot_is_the_same_bytes_for_the_same_figures(tmp_path: Path) -> None:
    first, second = (plots.draw(as_json(findings()), tmp_path / name) for name in ("one", "two"))
    assert [each.name for each in first] == ["cpu.svg", "latency.svg"]
    assert [each.read_bytes() for each in first] == [each.read_bytes() for each in second]


def test_every_table_has_as_many_cells_as_headings() -> None:
    for table in report.tables(as_json(findings(with_litellm=False))):
        assert table.rows
        assert {len(row) for row in table.rows} == {len(table.headings)}
        assert table.title in report.as_markdown(table)


def test_growth_is_told_against_the_small_case() -> None:
    small = Grown(Case("small"), {"limit": 20.0, "cache": 20.0}, {"limit": 100.0, "cache": 100.0})
    ids = Grown(Case("ids", ids=1_000_000), {"limit": 24.0, "cache": 20.0}, {"limit": 481.0, "cache": 100.0})
    found = told([small, ids])["cases"]
    assert found["small"]["to_small"] == 1
    assert found["ids"]["to_small"] == pytest.approx(1.1)
    assert found["ids"]["bytes_each"] == pytest.approx(400, rel=0.01)
    assert found["small"]["bytes_each"] is None


def test_a_case_of_none_is_left_out() -> None:
    assert [case.name for case in cases(0, 5, 0, 7)] == ["small", "tenants", "ids"]


def test_the_ideal_is_as_many_turns_as_the_places_need() -> None:
    assert ideal_s(20_000, 10_000, 5) == 10
    assert ideal_s(20_001, 10_000, 5) == 15

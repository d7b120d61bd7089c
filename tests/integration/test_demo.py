"""`make demo`, as a person runs it: the numbers it writes, and nothing left behind however it ends."""

import os
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import orjson
import pytest

from tests.integration.scripted import ROOT, begin, left_running

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240), pytest.mark.long]


def test_the_demo_answers_every_request_once_at_the_price_of_the_providers_bill(tmp_path: Path) -> None:
    demo = begin("scripts.demo", tmp_path, errors_apart=False)
    output, _ = demo.communicate(timeout=200)
    assert demo.returncode == 0, output
    summary = orjson.loads((tmp_path / ".millrace/demo/summary.json").read_bytes())
    assert summary["requests"] == summary["responses"]
    assert (summary["missing"], summary["duplicates"], summary["unknown_costs"]) == (0, 0, 0)
    assert Decimal(summary["cost_usd"]) == Decimal(summary["provider_bill_usd"]) > 0
    assert (summary["difference_usd"], summary["unexplained_rows"], summary["wrong_prices"]) == ("0", 0, 0)
    assert summary["by_status"]["rejected"] == 5
    assert summary["by_status"]["expired"] == 1
    assert sum(summary["by_cache"].values()) == summary["responses"]
    assert summary["by_cache"].keys() - {"none"} <= {"exact", "coalesced"}
    assert summary["call_rows"] > summary["responses"]  # the attempts that failed first are booked too
    assert summary["added_latency_ms"]["p50"] <= summary["added_latency_ms"]["p99"]
    assert "One request's life" in output
    assert left_running(tmp_path) == []


@pytest.mark.endurance
def test_a_crowd_that_meets_faults_is_reconciled_with_the_bill_to_the_last_decimal(tmp_path: Path) -> None:
    demo = begin("scripts.demo", tmp_path, "--requests", "400", "--faults", errors_apart=False)
    output, _ = demo.communicate(timeout=200)
    assert demo.returncode == 0, output
    summary = orjson.loads((tmp_path / ".millrace/demo/summary.json").read_bytes())
    assert (summary["missing"], summary["duplicates"]) == (0, 0)
    assert (summary["difference_usd"], summary["unexplained_rows"], summary["wrong_prices"]) == ("0", 0, 0)
    assert summary["adjusted_rows"] > 0  # the faults did cost what nobody here could know
    assert left_running(tmp_path) == []


@pytest.mark.endurance
def test_real_prompts_are_turned_into_requests(tmp_path: Path, shared_data: Path) -> None:
    whole = shared_data / "prompts" / "mt_bench_questions.jsonl"
    demo = begin("scripts.demo", tmp_path, "--input", str(whole), errors_apart=False)
    output, _ = demo.communicate(timeout=200)
    assert demo.returncode == 0, output
    summary = orjson.loads((tmp_path / ".millrace/demo/summary.json").read_bytes())
    assert summary["requests"] == summary["responses"] == 80


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_interrupted_stops_all_it_started(tmp_path: Path, number: signal.Signals) -> None:
    demo = begin("scripts.demo", tmp_path, errors_apart=False)
    deadline_s = time.monotonic() + 60
    assert demo.stdout is not None
    for line in demo.stdout:
        if "starting the stages" in line or time.monotonic() > deadline_s:
            break
    demo.send_signal(number)
    demo.communicate(timeout=60)
    assert demo.returncode not in (0, None)
    assert left_running(tmp_path) == []


def test_a_file_that_is_not_there_is_told_in_a_sentence(tmp_path: Path) -> None:
    demo = begin("scripts.demo", tmp_path, "--input", "nothing.jsonl", errors_apart=False)
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert "nothing.jsonl" in output
    assert "Traceback" not in output


def test_asking_the_real_providers_without_a_key_is_told_before_anything_starts(tmp_path: Path) -> None:
    bare = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}  # noqa: TID251  # the environment of this run
    done = subprocess.run(
        [sys.executable, "-m", "scripts.demo", "--live"],
        cwd=tmp_path,
        env={**bare, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "OPENAI_API_KEY" in done.stdout
    assert not (tmp_path / ".millrace/demo/kafka").exists()

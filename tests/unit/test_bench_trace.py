"""A recorded hour: read as it is published, and told by minute."""

from io import StringIO
from pathlib import Path

import pytest

from scripts.bench.load.job import Answered
from scripts.bench.provider.pace import Pace
from scripts.bench.trace import Arrival, UnreadableTrace, added_ms, by_minute, due_s, parse, queue_ms, read

HEAD = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
TRACE = HEAD + "2023-11-16 18:16:46.6805900,374,44\n2023-11-16 18:15:46.6805900,396,109\n"
PACE = Pace(latency_ms=100, prefill_tokens_per_s=1_000, decode_tokens_per_s=100)


def answer(number: int, latency_ms: float = 700.0) -> Answered:
    return Answered(
        number=number,
        due_s=0.0,
        latency_ms=latency_ms,
        provider_ms=600.0,
        stages_ms={"route": 30.0, "invoke": 670.0},
        answered_after_ms=690.0,
    )


def test_arrivals_are_in_order_of_time_and_counted_from_the_first() -> None:
    assert parse(StringIO(TRACE), "t") == [Arrival(0.0, 396, 109), Arrival(60.0, 374, 44)]


def test_a_faster_replay_brings_them_closer() -> None:
    assert due_s(parse(StringIO(TRACE), "t"), 20) == [0.0, 3.0]


@pytest.mark.parametrize("rows", ["", "2023-11-16 18:15:46,many,44\n", "then,1,2\n", "2023-11-16 18:15:46,1\n"])
def test_what_is_no_trace_is_told_with_its_line(rows: str) -> None:
    with pytest.raises(UnreadableTrace, match=r"^t"):
        parse(StringIO(HEAD + rows), "t")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnreadableTrace, match="nothing"):
        read(tmp_path / "nothing.csv")


def test_added_is_all_but_what_the_provider_takes_by_its_pace() -> None:
    assert added_ms(Arrival(0, 100, 40), answer(0), PACE) == pytest.approx(700 - 100 - 100 - 400)


def test_waiting_for_a_place_is_what_invoke_took_beside_the_call() -> None:
    assert queue_ms(answer(0)) == pytest.approx(40)


def test_minutes_are_those_of_the_trace_and_empty_ones_are_left_out() -> None:
    arrivals = [Arrival(0, 100, 40), Arrival(59.9, 100, 40), Arrival(130, 100, 40)]
    minutes = by_minute(arrivals, [answer(0), answer(1, 900.0), answer(2)], PACE)
    assert [(each["minute"], each["requests"]) for each in minutes] == [(0, 2), (2, 1)]
    assert minutes[0]["added_ms"] == {"p50": 100.0, "p95": 300.0, "p99": 300.0}
    assert minutes[0]["queue_ms"]["p50"] == 40.0


def test_the_azure_hour_is_read(shared_data: Path) -> None:
    arrivals = read(shared_data / "traces" / "azure_llm_2023_conv.csv")
    assert len(arrivals) == 19_366
    assert 3_000 < arrivals[-1].at_s < 3_700

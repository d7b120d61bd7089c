"""The bench of the sink: rows like the stages', and ratios to a bare insert."""

from schemas.call import CallRow
from scripts.bench import report
from scripts.bench.call_rows import ROWS_PER_CALL, call_rows
from scripts.bench.storing import Stored, told
from sinks.native import native_block

AT_MS = 1_795_000_000_000


def test_each_call_has_a_row_when_it_has_started_and_one_with_its_price() -> None:
    rows = [CallRow.decode(value) for value in call_rows(7, 2, AT_MS)]

    assert len(rows) == 2 * ROWS_PER_CALL
    assert [(row.attempt_id, row.phase) for row in rows] == [
        ("attempt-7", "started"),
        ("attempt-7", "priced"),
        ("attempt-8", "started"),
        ("attempt-8", "priced"),
    ]
    assert [row.cost.status for row in rows] == ["unknown_billable", "priced"] * 2
    assert [row.produced_at_ms for row in rows] == [AT_MS] * 4
    assert native_block(rows)


def test_the_sink_is_compared_with_the_insert_of_its_own_round() -> None:
    ours = [Stored(rows=100, wall_s=2.0, cpu_s=0.002), Stored(rows=100, wall_s=4.0, cpu_s=0.004)]
    bare = [Stored(rows=100, wall_s=1.0, cpu_s=0.001), Stored(rows=100, wall_s=2.0, cpu_s=0.002)]

    found = told(ours, bare)

    assert found["rows_per_s"]["sink"]["rounds"] == [50.0, 25.0]
    assert found["rows_per_s"]["to_bare"]["rounds"] == [0.5, 0.5]
    assert found["cpu_us"]["to_bare"]["median"] == 2.0
    table = report.sink({"rows": 100, "batch_rows": 20, **found})
    assert "100 call rows" in table.title
    assert [row[0].split(",")[0] for row in table.rows] == [
        "rows/s (target ≥ 50 000)",
        "CPU µs/row (target ≤ 2 × bare)",
    ]

"""What analysts read: right to the last nano-dollar, however often the rows behind it were delivered."""

from collections.abc import Generator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from schemas.call import CallRow
from schemas.usage import Cost, Usage
from sinks.clickhouse import ClickHouseSink
from sinks.connection import Connection, connect
from sinks.ledger import Chosen, Ledger
from sinks.queries import CostLine, Dimension, Filters, costs
from sinks.settings import ClickHouseSettings
from tests.clickhouse_engine import new_database, running_engine
from tests.fakes.call_rows import PRODUCED_AT_MS, UNKNOWN, call_row, priced

pytestmark = pytest.mark.integration

HOUR_MS = 3_600_000


def unattempted(number: int, **changes: Any) -> CallRow:
    nothing = {"attempt_no": 0, "cost": priced("0"), "usage": Usage(), "queue_ms": None, "provider_ms": None}
    return call_row(number, **nothing, total_ms=5, http_status=None, **changes)


# Request 1: the first choice timed out and may have been billed, the fallback answered. 2: answered. 3: a hit.
# 4: no price is known for the model. 5: refused. 6: still on its way. 7: another tenant, an hour later.
HISTORY = [
    call_row(
        1,
        "settled",
        attempt_id="attempt-1a",
        cost=UNKNOWN,
        usage=Usage(),
        provider_ms=5_000,
        error_class="timeout",
        http_status=None,
        is_final=False,
        request_status=None,
        total_ms=None,
    ),
    call_row(
        1,
        attempt_id="attempt-1b",
        attempt_no=2,
        target_index=1,
        model_used="claude-sonnet-5-5",
        provider="anthropic",
        cost=priced("0.003000001"),
        queue_ms=5_050,
        provider_ms=900,
        total_ms=6_000,
    ),
    call_row(2, cost=priced("0.001000001"), provider_ms=700, total_ms=800),
    unattempted(3, cache="exact", saved_usd=Decimal("0.001000001")),
    call_row(4, model_used="gpt-unheard-of", cost=Cost(status="unpriced")),
    unattempted(5, model_used=None, provider=None, error_class="rate_limited", request_status="rejected"),
    call_row(6, "started", user_id=None),
    call_row(7, tenant_id="umbrella", produced_at_ms=PRODUCED_AT_MS + HOUR_MS, cost=priced("2")),
]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Generator[ClickHouseSettings]:
    """A database to which HISTORY was delivered three times, in other orders and batches."""
    with running_engine(tmp_path_factory.mktemp("clickhouse")) as engine:
        settings = new_database(engine)
        with closing(ClickHouseSink(settings)) as sink:
            sink.write([call_row(2, "started"), call_row(4, "settled")])
            sink.write(HISTORY[::-1])
            for row in HISTORY:
                sink.write([row])
            sink.write(HISTORY[2:])
        yield settings


@pytest.fixture(scope="module")
def reader(settings: ClickHouseSettings) -> Generator[Connection]:
    with closing(connect(settings)) as connection:
        yield connection


def ask(reader: Connection, settings: ClickHouseSettings, statement: str) -> list[Sequence[Any]]:
    return list(reader.query(statement.replace("FROM ", f"FROM {settings.database}.")).result_rows)


def test_an_attempt_is_one_row_of_calls_in_its_newest_phase(reader: Connection, settings: ClickHouseSettings) -> None:
    found = ask(reader, settings, "SELECT attempt_id, phase FROM calls ORDER BY attempt_id")
    assert found == sorted((row.attempt_id, row.phase) for row in HISTORY)


def test_daily_costs_add_up_what_is_known_and_count_what_is_not(
    reader: Connection, settings: ClickHouseSettings
) -> None:
    found = ask(
        reader,
        settings,
        "SELECT day, model, requests, attempts, cost_usd, saved_usd, cost_unknown, unpriced, unknown_billable "
        "FROM cost_daily WHERE tenant_id = 'acme' AND user_id = 'ada' ORDER BY model",
    )
    day = date(2026, 11, 18)
    assert found == [
        (day, "auto", 1, 0, Decimal(0), None, 0, 0, 0),
        (day, "claude-sonnet-5-5", 1, 1, Decimal("0.003000001"), None, 0, 0, 0),
        (day, "gpt-5-mini", 2, 2, Decimal("0.001000001"), Decimal("0.001000001"), 1, 0, 1),
        (day, "gpt-unheard-of", 1, 1, None, None, 1, 1, 0),
    ]


def test_a_user_that_is_not_known_is_a_group_of_its_own_whose_cost_is_not_zero(
    reader: Connection, settings: ClickHouseSettings
) -> None:
    found = ask(reader, settings, "SELECT requests, attempts, cost_usd FROM cost_daily WHERE user_id IS NULL")
    assert found == [(0, 1, None)]


def test_daily_tokens_are_summed_per_bucket(reader: Connection, settings: ClickHouseSettings) -> None:
    found = ask(reader, settings, "SELECT COLUMNS('_tokens$') APPLY(sum) FROM cost_daily")
    assert found == [tuple(sum(getattr(row.usage, name) for row in HISTORY) for name in Usage.__struct_fields__)]


def test_latency_counts_a_request_once_with_the_time_of_all_its_attempts(
    reader: Connection, settings: ClickHouseSettings
) -> None:
    found = ask(
        reader,
        settings,
        "SELECT model, requests, total_p95_ms, provider_p95_ms, added_p95_ms, queue_p95_ms "
        "FROM latency_hourly WHERE tenant_id = 'acme' ORDER BY model",
    )
    assert found == [
        ("auto", 1, 5, None, 5, None),
        ("claude-sonnet-5-5", 1, 6_000, 5_900, 100, 30),
        ("gpt-5-mini", 2, 800, 700, 100, 30),
        ("gpt-unheard-of", 1, 1_040, 1_000, 40, 30),
    ]


def test_latency_is_kept_per_hour_of_the_request(reader: Connection, settings: ClickHouseSettings) -> None:
    found = ask(reader, settings, "SELECT hour, sum(requests) FROM latency_hourly GROUP BY hour ORDER BY hour")
    assert found == [(datetime(2026, 11, 18, 11), 5), (datetime(2026, 11, 18, 12), 1)]  # noqa: DTZ001 - the driver's UTC


def test_errors_are_shares_of_all_calls_to_that_model_in_that_hour(
    reader: Connection, settings: ClickHouseSettings
) -> None:
    found = ask(
        reader,
        settings,
        "SELECT model, error_class, http_status, status, errors, calls, share FROM errors_hourly ORDER BY model",
    )
    assert found == [
        ("auto", "rate_limited", None, "rejected", 1, 1, 1.0),
        ("gpt-5-mini", "timeout", None, None, 1, 4, 0.25),
    ]


SINCE = datetime(2026, 11, 18, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("by", "first_key", "keys"),
    [
        ("tenant", "umbrella", 2),
        ("feature", "search", 1),
        ("model", "gpt-5-mini", 4),
        ("user", "ada", 2),
        ("day", "2026-11-18", 1),
    ],
)
def test_costs_are_listed_by_any_dimension_and_always_add_up_to_the_same(
    reader: Connection, settings: ClickHouseSettings, by: Dimension, first_key: str, keys: int
) -> None:
    lines = costs(reader, settings.database, by, SINCE)
    assert len(lines) == keys
    assert lines[0].key == first_key
    assert sum(line.cost_usd or 0 for line in lines) == Decimal("2.004000002")
    assert sum(line.requests for line in lines) == 6
    assert sum(line.cost_unknown for line in lines) == 3


def test_a_cost_line_holds_decimals_and_says_what_it_leaves_out(
    reader: Connection, settings: ClickHouseSettings
) -> None:
    lines = {line.key: line for line in costs(reader, settings.database, "tenant", SINCE)}
    assert lines["acme"] == CostLine(
        key="acme",
        requests=5,
        attempts=5,
        input_tokens=4_500,
        output_tokens=630,
        cost_usd=Decimal("0.004000002"),
        saved_usd=Decimal("0.001000001"),
        cost_unknown=3,
    )


def test_costs_start_at_the_very_millisecond_that_is_asked_for(
    reader: Connection, settings: ClickHouseSettings
) -> None:
    def since(ms: int) -> tuple[CostLine, ...]:
        return costs(reader, settings.database, "tenant", datetime.fromtimestamp(ms / 1000, UTC))

    last = PRODUCED_AT_MS + HOUR_MS
    assert [line.key for line in since(last)] == ["umbrella"]
    assert since(last + 1) == ()


def test_the_dearest_come_first_and_no_more_than_asked_for(reader: Connection, settings: ClickHouseSettings) -> None:
    assert [line.key for line in costs(reader, settings.database, "tenant", SINCE, limit=1)] == ["umbrella"]


def test_costs_can_be_asked_for_by_any_label_and_for_some_only(
    reader: Connection, settings: ClickHouseSettings
) -> None:
    (team,) = costs(reader, settings.database, "label:team", SINCE)
    assert (team.key, team.cost_usd) == ("müller", Decimal("2.004000002"))
    only = Filters(tenants=("acme",), models=("gpt-5-mini",), labels=(("team", "müller"),))
    (line,) = costs(reader, settings.database, "user", SINCE, filters=only)[:1]
    assert (line.key, line.cost_usd) == ("ada", Decimal("0.001000001"))
    assert costs(reader, settings.database, "user", SINCE, filters=Filters(labels=(("team", "nobody"),))) == ()


def test_the_course_of_the_costs_has_every_hour_or_day(reader: Connection, settings: ClickHouseSettings) -> None:
    until = datetime(2026, 11, 19, tzinfo=UTC)
    acme, umbrella = sorted(
        costs(reader, settings.database, "tenant", SINCE, until=until), key=lambda each: each.requests
    )
    assert {acme.course, umbrella.course} == {(Decimal("0.004000002"), Decimal(0)), (Decimal(0), Decimal(2))}


def test_an_adjustment_is_in_the_sums_and_makes_an_unknown_cost_known(
    reader: Connection, settings: ClickHouseSettings
) -> None:
    ledger = Ledger(reader, settings.database)
    (lost,) = [call for call in ledger.calls(Chosen(0, PRODUCED_AT_MS * 2)) if call.attempt_id == "attempt-1a"]
    found = lost.adjustment("x", "reconcile", Decimal("0.000000007"), reason="found", run_id="run")
    for _ in range(2):
        ledger.add([found])
    try:
        lines = {line.key: line for line in costs(reader, settings.database, "tenant", SINCE)}
        assert (lines["acme"].cost_usd, lines["acme"].cost_unknown) == (Decimal("0.004000009"), 2)
        assert lines["acme"].requests == 5
    finally:
        ledger.add([found.withdrawn("run")])
    lines = {line.key: line for line in costs(reader, settings.database, "tenant", SINCE)}
    assert (lines["acme"].cost_usd, lines["acme"].cost_unknown) == (Decimal("0.004000002"), 3)

"""What is owed, wasted, saved and not settled, with all that was learned after the calls were booked."""

import json
from collections.abc import Generator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from schemas.usage import Cost, Usage
from sinks.clickhouse import ClickHouseSink
from sinks.connection import Connection, connect
from sinks.settings import ClickHouseSettings
from tests.clickhouse_engine import new_database, running_engine
from tests.fakes.call_rows import PRODUCED_AT_MS, UNKNOWN, call_row, priced

pytestmark = pytest.mark.integration

# Request 1: the first attempt timed out, and was billed after all (adjustment a); the fallback answered. 2: answered
# from the cache. 3: by batch, at half the list price, and repriced (b). 4: no price is known. 5: failed for good. The
# provider also billed a call that we know nothing of (c), and attempt 5 once more, for nothing (e). What an export said
# of request 4 was withdrawn (d).
TIMED_OUT = call_row(
    1,
    attempt_id="attempt-1a",
    cost=UNKNOWN,
    usage=Usage(),
    usage_source="none",
    error_class="timeout",
    http_status=None,
    is_final=False,
    request_status=None,
    total_ms=None,
)
HISTORY = [
    TIMED_OUT,
    call_row(1, attempt_id="attempt-1b", attempt_no=2, target_index=1, cost=priced("0.003"), provider_request_id="p1"),
    call_row(2, attempt_no=0, cost=priced("0"), usage=Usage(), cache="exact", saved_usd=Decimal("0.002")),
    call_row(
        3,
        service_tier="batch",
        provider_request_id="p3",
        cost=Cost(status="priced", total_usd=Decimal("0.5"), list_usd=Decimal(1), charged_usd=Decimal("0.6")),
    ),
    call_row(4, cost=Cost(status="unpriced"), provider_request_id="p4"),
    call_row(5, cost=priced("0.004"), request_status="failed", error_class="server_error", provider_request_id="p5"),
]
_ADJUSTMENTS = f"""
INSERT INTO DATABASE.adjustments (adjustment_id, kind, tenant_id, produced_at, request_id, attempt_id, user_id, feature,
    model, provider, labels, delta_usd, before_usd, after_usd, reason) VALUES
('a', 'reconcile', 'acme', fromUnixTimestamp64Milli({PRODUCED_AT_MS + 1}), 'request-1', 'attempt-1a', 'ada',
    'search', 'gpt-5-mini', 'openai', map('team', 'müller'), 0.001, NULL, 0.001, 'the provider billed it'),
('b', 'reprice', 'acme', fromUnixTimestamp64Milli({PRODUCED_AT_MS + 3}), 'request-3', 'attempt-3', 'ada',
    'search', 'gpt-5-mini', 'openai', map('team', 'müller'), -0.1, 0.5, 0.4, 'a new price'),
('c', 'reconcile', '', fromUnixTimestamp64Milli({PRODUCED_AT_MS}), '', '', NULL, '', 'gpt-5-mini', 'openai',
    map(), 0.07, NULL, 0.07, 'no row'),
('d', 'reconcile', 'acme', fromUnixTimestamp64Milli({PRODUCED_AT_MS + 4}), 'request-4', 'attempt-4', 'ada',
    'search', 'gpt-5-mini', 'openai', map('team', 'müller'), 0, 0, 0, 'withdrawn'),
('e', 'reconcile', 'acme', fromUnixTimestamp64Milli({PRODUCED_AT_MS + 5}), 'request-5', 'attempt-5', 'ada',
    'search', 'gpt-5-mini', 'openai', map(), 0, 0, 0, 'the provider charges a call that we have no row of')
"""  # noqa: S608 - our own numbers
OWED = Decimal("0.478")


class Reader:
    def __init__(self, connection: Connection, database: str) -> None:
        self._connection = connection
        self._database = database

    def ask(self, statement: str) -> list[Sequence[Any]]:
        return list(self._connection.query(statement.replace("FROM ", f"FROM {self._database}.")).result_rows)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Generator[ClickHouseSettings]:
    with running_engine(tmp_path_factory.mktemp("clickhouse")) as engine:
        yield engine


@pytest.fixture(scope="module")
def settings(engine: ClickHouseSettings) -> ClickHouseSettings:
    return new_database(engine)


@pytest.fixture(scope="module")
def reader(settings: ClickHouseSettings) -> Generator[Reader]:
    """Everything was written twice."""
    with closing(connect(settings)) as connection, closing(ClickHouseSink(settings)) as sink:
        for _ in range(2):
            sink.write(HISTORY)
            connection.command(_ADJUSTMENTS.replace("DATABASE", settings.database))
        yield Reader(connection, settings.database)


@pytest.mark.parametrize(
    "total",
    [
        "SELECT sum(amount_usd) FROM ledger",
        "SELECT sum(cost_usd) FROM cost_daily",
        "SELECT sum(cost_usd) FROM cost_hourly",
        "SELECT sum(cost_usd) FROM cost_by_minute",
        'SELECT sum("BilledCost") FROM focus',
    ],
)
def test_every_view_adds_up_to_what_is_owed(reader: Reader, total: str) -> None:
    assert reader.ask(total) == [(OWED,)]


@pytest.mark.parametrize(
    "total",
    [
        "SELECT sum(cost_usd) FROM requests",
        "SELECT sum(adjusted_usd) FROM calls_adjusted",
        "SELECT sum(spend) FROM litellm_spend_logs",
        "SELECT sum(cost_usd) FROM cost_by_label WHERE label = 'team'",
    ],
)
def test_what_is_about_our_calls_leaves_out_only_the_call_we_do_not_know(reader: Reader, total: str) -> None:
    assert reader.ask(total) == [(OWED - Decimal("0.07"),)]


def test_the_ledger_has_a_line_for_each_call_and_each_adjustment(reader: Reader) -> None:
    found = reader.ask("SELECT entry, count(), countIf(amount_usd IS NULL) FROM ledger GROUP BY entry ORDER BY entry")
    assert found == [("call", 6, 2), ("reconcile", 4, 0), ("reprice", 1, 0)]


def test_a_cost_that_was_learned_is_no_longer_counted_as_unknown(reader: Reader) -> None:
    assert reader.ask("SELECT sum(cost_unknown), sum(unpriced), sum(unknown_billable) FROM cost_daily") == [(1, 1, 1)]


def test_a_request_is_one_line_with_all_its_attempts(reader: Reader) -> None:
    found = reader.ask(
        "SELECT request_id, attempts, fallback_used, status, cache, cost_usd, wasted_usd, cost_unknown FROM requests "
        "ORDER BY request_id"
    )
    assert found == [
        ("request-1", 2, 1, "ok", "none", Decimal("0.004"), Decimal("0.001"), 0),
        ("request-2", 0, 0, "ok", "exact", Decimal(0), None, 0),
        ("request-3", 1, 0, "ok", "none", Decimal("0.4"), None, 0),
        ("request-4", 1, 0, "ok", "none", None, None, 1),
        ("request-5", 1, 0, "failed", "none", Decimal("0.004"), Decimal("0.004"), 0),
    ]


def test_waste_is_what_attempts_cost_that_gave_no_answer_by_why(reader: Reader) -> None:
    found = reader.ask("SELECT reason, attempts, wasted_usd, cost_unknown FROM waste ORDER BY reason")
    assert found == [("server_error", 1, Decimal("0.004"), 0), ("timeout", 1, Decimal("0.001"), 0)]


def test_a_call_says_what_it_wasted_and_what_the_tenant_is_charged(reader: Reader) -> None:
    found = reader.ask("SELECT attempt_id, charged_usd, wasted_usd FROM calls WHERE attempt_no > 0 ORDER BY attempt_id")
    assert found == [
        ("attempt-1a", None, None),
        ("attempt-1b", Decimal("0.003"), Decimal(0)),
        ("attempt-3", Decimal("0.6"), Decimal(0)),
        ("attempt-4", None, Decimal(0)),
        ("attempt-5", Decimal("0.004"), Decimal("0.004")),
    ]


def test_savings_are_told_apart_by_what_saved(reader: Reader) -> None:
    found = reader.ask("SELECT kind, requests, saved_usd FROM savings ORDER BY kind")
    assert found == [("batch", 1, Decimal("0.5")), ("cache", 1, Decimal("0.002"))]


def test_what_no_reconciliation_has_settled_is_listed_with_why(reader: Reader) -> None:
    found = reader.ask("SELECT attempt_id, reason, amount_usd FROM unreconciled ORDER BY attempt_id")
    assert found == [
        ("", "not in our rows", Decimal("0.07")),
        ("attempt-4", "unpriced", None),
        ("attempt-5", "not in our rows", Decimal(0)),
    ]


def test_what_was_withdrawn_makes_no_unknown_cost_known(reader: Reader) -> None:
    assert reader.ask("SELECT adjusted_usd FROM calls_adjusted WHERE attempt_id = 'attempt-4'") == [(None,)]
    assert reader.ask("SELECT cost_usd, cost_unknown FROM requests WHERE request_id = 'request-4'") == [(None, 1)]


def test_a_spend_log_line_has_what_litellm_has(reader: Reader) -> None:
    [(spend, total, prompt, completion, team, user, hit, tags, metadata)] = reader.ask(
        "SELECT spend, total_tokens, prompt_tokens, completion_tokens, team_id, end_user, cache_hit, request_tags, "
        "metadata FROM litellm_spend_logs WHERE request_id = 'attempt-3'"
    )
    assert (spend, total, prompt, completion) == (Decimal("0.4"), 1_710, 1_500, 210)
    assert (team, user, hit) == ("acme", "ada", "False")
    assert json.loads(tags) == ["feature:search", "team:müller"]
    assert json.loads(metadata)["request_id"] == "request-3"


def test_a_bill_line_has_the_columns_of_focus(reader: Reader) -> None:
    [line] = reader.ask(
        'SELECT "BilledCost", "ListCost", "BillingCurrency", "ChargePeriodEnd" - "ChargePeriodStart", "ProviderName", '
        '"SkuId", "ConsumedQuantity", "ConsumedUnit", "Tags" '
        "FROM focus WHERE tenant_id = 'acme'"
    )
    assert line[:3] == (Decimal("0.408"), Decimal("1.007"), "USD")
    assert line[3:] == (86_400, "openai", "gpt-5-mini", 4 * 1_710, "Tokens", '{"feature":"search"}')


def test_of_a_budget_the_newest_account_counts(reader: Reader, settings: ClickHouseSettings) -> None:
    with closing(connect(settings)) as connection:
        connection.command(
            f"INSERT INTO {settings.database}.budget_accounts VALUES "  # noqa: S608 - our own name
            "('acme', 'monthly', '', '2026-12', 80, 3, 100, 2), ('acme', 'monthly', '', '2026-12', 20, 0, 100, 1), "
            "('acme', 'each', 'ada', '2026-12-31', 1, 0, 0, 1)"
        )
    found = reader.ask("SELECT budget, spent_usd, left_usd, used_share, resets_at FROM budget_status ORDER BY budget")
    new_year = datetime(2027, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    assert found == [
        ("each", Decimal(1), Decimal(-1), None, new_year),
        ("monthly", Decimal(80), Decimal(20), 0.8, new_year),
    ]


@pytest.mark.parametrize("later", ["request-1", "request-1~redrive-1"])
def test_a_request_that_was_given_back_is_what_its_later_end_says(engine: ClickHouseSettings, later: str) -> None:
    failed = call_row(1, attempt_no=0, cost=priced("0"), usage=Usage(), request_status="failed", published_at_ms=None)
    ends = [
        replace(
            failed,
            request_id=request_id,
            attempt_id=f"end-of-{request_id}",
            request_status="ok" if request_id == later else "failed",
            error_class=None if request_id == later else "internal_error",
            published_at_ms=PRODUCED_AT_MS + (2_000 if request_id == later else 1_000),
        )
        for request_id in ("request-1", "request-1~redrive-1")
    ]
    settings = new_database(engine)
    with closing(connect(settings)) as connection, closing(ClickHouseSink(settings)) as sink:
        sink.write(ends)
        found = Reader(connection, settings.database).ask("SELECT request_id, status, error_class FROM requests")
    assert found == [("request-1", "ok", None)]

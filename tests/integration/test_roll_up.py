"""What was rolled up says what the rows say, whatever was sent again, in another order or in other batches."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.call import PHASE_VERSION, CallRow, Phase
from schemas.usage import Cost
from sinks.clickhouse import ClickHouseSink
from sinks.connection import Connection, connect
from sinks.roll_up import roll_up
from sinks.settings import ClickHouseSettings
from tests.clickhouse_engine import new_database, running_engine
from tests.fakes.call_rows import PRODUCED_AT_MS, UNKNOWN, call_row, priced
from tests.integration.millrace import Millrace

pytestmark = pytest.mark.integration

DAY_MS = 86_400_000
YEARS_AGO_MS = 1_600_000_000_000
SECTIONS = {
    "spending_of_rows": "cost_daily",
    "labels_of_rows": "cost_by_label",
    "outcomes_of_rows": "outcomes_hourly",
    "latency_of_rows": "latency_of_days",
    "minutes_of_rows": "cost_by_minute",
}
TABLES = ("call_rows", "adjustments", "call_days")
Sums = dict[tuple[date, str, str], tuple[int, Decimal | None, int]]
"""By day, tenant and model: attempts, what they cost, and how many have no known cost."""


@dataclass(frozen=True)
class Adjustment:
    id: str
    of: int
    delta_usd: Decimal
    before_usd: Decimal | None


@dataclass(frozen=True)
class Deliver:
    rows: tuple[CallRow, ...]


@dataclass(frozen=True)
class Adjust:
    adjustment: Adjustment


class RollUp:
    """The days that are stale now."""


class HourPasses:
    """Since all that was stored and rolled up."""


Step = Deliver | Adjust | RollUp | HourPasses


def version(number: int, phase: Phase) -> CallRow:
    """An attempt is in one group while it runs and in another when it is priced; the fourth never gets a price."""
    cost = Cost(status="unpriced") if number == 4 else priced(f"0.00100000{number}")
    return call_row(
        number,
        phase,
        tenant_id="acme" if number < 4 else "umbrella",
        produced_at_ms=PRODUCED_AT_MS + (number % 2) * DAY_MS,
        model_used=None if phase == "started" else "gpt-5-mini",
        cost=cost if phase == "priced" else UNKNOWN,
    )


VERSIONS = [version(number, phase) for number in (1, 2, 3, 4) for phase in PHASE_VERSION]
ADJUSTMENTS = [
    Adjustment("a", 1, Decimal("-0.000400000"), Decimal("0.001000001")),
    Adjustment("b", 1, Decimal("0.000000007"), Decimal("0.000600001")),
    Adjustment("c", 4, Decimal("0.25"), None),
]
steps = st.lists(
    st.one_of(
        st.lists(st.sampled_from(VERSIONS), min_size=1, max_size=6).map(lambda rows: Deliver(tuple(rows))),
        st.sampled_from(ADJUSTMENTS).map(Adjust),
        st.just(RollUp()),
        st.just(HourPasses()),
    ),
    min_size=1,
    max_size=10,
)


_ADJUST = """
INSERT INTO FILLED (adjustment_id, kind, tenant_id, produced_at, request_id, attempt_id, user_id, feature, model,
    provider, labels, delta_usd, before_usd, after_usd)
VALUES ({id:String}, 'reprice', {tenant:String}, fromUnixTimestamp64Milli({at:Int64}), {request:String},
    {attempt:String}, 'ada', 'search', 'gpt-5-mini', 'openai', map('team', 'x'), {delta:Decimal(18, 9)},
    {before:Nullable(Decimal(18, 9))}, 0)
"""


@dataclass
class Store:
    settings: ClickHouseSettings
    connection: Connection
    sink: ClickHouseSink

    def empty(self) -> None:
        for table in TABLES:
            self.connection.command(f"TRUNCATE TABLE {self.settings.database}.{table}")

    def do(self, step: Step) -> None:
        match step:
            case Deliver(rows):
                assert not self.sink.write(rows)
            case Adjust(adjustment):
                self.adjust(adjustment, version(adjustment.of, "priced"))
            case RollUp():
                roll_up(self.connection, self.settings.database)
            case HourPasses():
                for table, column in zip(TABLES, ("stored_at", "stored_at", "rolled_up_at"), strict=True):
                    self.connection.command(
                        f"ALTER TABLE {self.settings.database}.{table} UPDATE {column} = {column} - INTERVAL 1 HOUR "
                        "WHERE 1 SETTINGS mutations_sync = 2"
                    )

    def adjust(self, it: Adjustment, row: CallRow) -> None:
        self.connection.command(
            _ADJUST.replace("FILLED", f"{self.settings.database}.adjustments"),
            {
                "id": it.id,
                "tenant": row.tenant_id,
                "at": row.produced_at_ms,
                "request": row.request_id,
                "attempt": row.attempt_id,
                "delta": it.delta_usd,
                "before": it.before_usd,
            },
        )

    def keep_rows_for(self, days: int) -> None:
        """As `tables apply` says it, without the TTL, which would take the rows of other tests too."""
        self.connection.command(
            f"CREATE OR REPLACE VIEW {self.settings.database}.rows_kept SQL SECURITY INVOKER "
            f"AS SELECT toUInt32({days}) AS days"
        )

    def lose(self, row: CallRow) -> None:
        self.connection.command(
            f"ALTER TABLE {self.settings.database}.call_rows DELETE WHERE attempt_id = {{attempt:String}} "
            "SETTINGS mutations_sync = 2",
            {"attempt": row.attempt_id},
        )

    def rows(self, statement: str) -> list[Sequence[Any]]:
        return list(self.connection.query(statement.replace("FROM ", f"FROM {self.settings.database}.")).result_rows)

    def sums(self) -> Sums:
        statement = (
            "SELECT day, tenant_id, model, sum(attempts), sum(cost_usd), sum(cost_unknown) FROM cost_daily "
            "GROUP BY day, tenant_id, model"
        )
        return {(day, tenant, model): (*rest,) for day, tenant, model, *rest in self.rows(statement)}  # type: ignore[misc]  # a row of the driver is any sequence

    def differing(self) -> list[str]:
        """Views that do not say what the rows say."""
        return [shown for own, shown in SECTIONS.items() if self._lines(own, own) != self._lines(own, shown)]

    def _lines(self, columns_of: str, view: str) -> list[str]:
        empty = f"SELECT * FROM {self.settings.database}.{columns_of} LIMIT 0"  # noqa: S608 - our names
        columns = ", ".join(self.connection.query(empty).column_names)
        return sorted(map(str, self.rows(f"SELECT {columns} FROM {view}")))  # noqa: S608 - our names


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Generator[Store]:
    with running_engine(tmp_path_factory.mktemp("clickhouse")) as engine:
        there = new_database(engine)
        with closing(connect(there)) as connection, closing(ClickHouseSink(there)) as sink:
            yield Store(there, connection, sink)


def truth(done: Iterable[Step]) -> Sums:
    """Of each attempt the newest phase, and each adjustment once."""
    newest: dict[str, CallRow] = {}
    adjustments: dict[str, Adjustment] = {}
    for step in done:
        if isinstance(step, Adjust):
            adjustments[step.adjustment.id] = step.adjustment
        elif isinstance(step, Deliver):
            for row in step.rows:
                known = newest.get(row.attempt_id, row)
                newest[row.attempt_id] = max(known, row, key=lambda each: PHASE_VERSION[each.phase])
    found: Sums = {}
    for row in newest.values():
        model = row.model_used or row.model_requested
        _add(found, row, model, 1, row.cost.total_usd, int(row.cost.total_usd is None))
    for each in adjustments.values():
        _add(found, version(each.of, "priced"), "gpt-5-mini", 0, each.delta_usd, -int(each.before_usd is None))
    return found


def _add(found: Sums, row: CallRow, model: str, attempts: int, usd: Decimal | None, unknown: int) -> None:
    key = (datetime.fromtimestamp(row.produced_at_ms / 1_000, UTC).date(), row.tenant_id, model)
    before = found.get(key, (0, None, 0))
    cost = before[1] if usd is None else usd + (before[1] or 0)
    found[key] = (before[0] + attempts, cost, before[2] + unknown)


@given(done=steps)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_retries_orders_batches_and_phases_give_what_the_rows_say(store: Store, done: list[Step]) -> None:
    store.empty()
    for step in done:
        store.do(step)
    assert store.sums() == truth(done)
    assert store.differing() == []
    for step in (HourPasses(), RollUp()):
        store.do(step)
    assert store.rows("SELECT day FROM stale_days") == []
    assert store.sums() == truth(done)
    assert store.differing() == []


def test_a_phase_that_moves_an_attempt_to_another_model_leaves_nothing_behind(store: Store) -> None:
    store.empty()
    for step in (Deliver((version(2, "started"),)), HourPasses(), RollUp()):
        store.do(step)
    assert [model for _, _, model in store.sums()] == ["auto"]
    for step in (Deliver((version(2, "priced"),)), HourPasses(), RollUp()):
        store.do(step)
    assert store.rows("SELECT day FROM stale_days") == []
    assert store.sums() == truth([Deliver((version(2, "priced"),))])


def test_a_day_changed_after_it_was_rolled_up_is_read_from_its_rows_at_once(store: Store) -> None:
    store.empty()
    for step in (Deliver((version(1, "priced"), version(2, "priced"))), HourPasses(), RollUp()):
        store.do(step)
    store.do(Deliver((version(3, "priced"),)))
    assert store.rows("SELECT tenant_id, day FROM stale_days") == [("acme", date(2026, 11, 19))]
    assert store.sums() == truth([Deliver((version(1, "priced"), version(2, "priced"), version(3, "priced")))])


def test_what_was_computed_from_fewer_rows_never_replaces_what_was_computed_from_more(store: Store) -> None:
    """As when one of two runs was held up between reading and writing."""
    store.empty()
    store.do(Deliver((version(1, "priced"),)))
    store.do(RollUp())
    days = f"{store.settings.database}.call_days"
    store.connection.command(f"CREATE TABLE {days}_held AS {days}")
    store.connection.command(f"INSERT INTO {days}_held SELECT * FROM {days}")  # noqa: S608 - our names
    store.do(Deliver((version(3, "priced"),)))
    store.do(HourPasses())
    store.do(RollUp())
    store.connection.command(f"INSERT INTO {days} SELECT * FROM {days}_held")  # noqa: S608 - our names
    store.connection.command(f"DROP TABLE {days}_held")
    assert store.sums() == truth([Deliver((version(1, "priced"), version(3, "priced")))])


def years_ago(number: int) -> CallRow:
    """Published since, so that its TTL leaves it to the test."""
    return replace(version(number, "priced"), produced_at_ms=YEARS_AGO_MS, published_at_ms=PRODUCED_AT_MS)


def test_a_day_that_is_older_than_its_rows_keeps_its_sums_whatever_is_learned_of_it_later(store: Store) -> None:
    store.empty()
    first, second = map(years_ago, (1, 3))
    for step in (Deliver((first, second)), HourPasses(), RollUp()):
        store.do(step)
    whole = store.sums()
    store.keep_rows_for(days=30)
    store.lose(first)
    store.adjust(ADJUSTMENTS[0], first)
    assert store.rows("SELECT day FROM stale_days") == []
    assert store.sums() == whole
    for step in (HourPasses(), RollUp()):
        store.do(step)
    assert store.sums() == whole
    left = (second.cost.total_usd or 0) + ADJUSTMENTS[0].delta_usd
    assert store.rows("SELECT sum(amount_usd) FROM ledger") == [(left,)]
    store.keep_rows_for(days=400)


def test_an_old_day_that_was_never_rolled_up_says_what_is_left_of_it(store: Store) -> None:
    store.empty()
    first, second = map(years_ago, (1, 3))
    store.do(Deliver((first, second)))
    store.keep_rows_for(days=30)
    store.lose(first)
    for step in (HourPasses(), RollUp()):
        store.do(step)
    assert [usd for _, usd, _ in store.sums().values()] == [second.cost.total_usd]
    store.keep_rows_for(days=400)


def test_the_second_run_has_nothing_to_do(store: Store) -> None:
    store.empty()
    store.do(Deliver((version(1, "priced"),)))
    store.do(HourPasses())
    assert roll_up(store.connection, store.settings.database) == 1
    assert roll_up(store.connection, store.settings.database) == 0


def test_the_command_says_how_many_days_it_rolled_up(store: Store) -> None:
    store.empty()
    store.do(Deliver((version(1, "priced"), version(2, "priced"), version(4, "priced"))))
    there = {
        "MILLRACE_CLICKHOUSE_PORT": str(store.settings.port),
        "MILLRACE_CLICKHOUSE_DATABASE": store.settings.database,
    }
    assert Millrace(there)("rollup", "--json").json == {"days": 3}
    assert Millrace(there)("rollup").out == "3 days of tenants rolled up\n"

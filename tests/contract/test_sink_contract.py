"""What every sink promises, whatever it stores rows in."""

from collections.abc import Generator, Sequence
from contextlib import closing
from decimal import Decimal
from random import Random
from typing import Protocol

import pytest

from schemas.call import CallRow, Phase
from sinks.clickhouse import ClickHouseSink
from sinks.connection import Connection, connect
from sinks.protocol import Sink, Unavailable
from sinks.settings import ClickHouseSettings
from tests.clickhouse_engine import new_database, running_engine
from tests.fakes.call_rows import NO_UINT64, call_row, priced, unwritable_row
from tests.fakes.proxy import Faults, proxy_to
from tests.fakes.sink import FakeSink

PHASES: tuple[Phase, ...] = ("started", "settled", "priced")
MONTH_MS = 31 * 86_400_000

Stored = dict[tuple[str, str], tuple[Phase, Decimal | None]]
"""Phase and cost by tenant and attempt, as a query sees them."""


class Harness(Protocol):
    @property
    def sink(self) -> Sink: ...
    def stored(self) -> Stored: ...
    def go_down(self) -> None: ...
    def come_back(self) -> None: ...


class FakeHarness:
    def __init__(self) -> None:
        self.sink = FakeSink(lambda row: "too many" if row.usage.uncached_input_tokens >= NO_UINT64 else None)

    def stored(self) -> Stored:
        return {(row.tenant_id, row.attempt_id): (row.phase, row.cost.total_usd) for row in self.sink.stored.values()}

    def go_down(self) -> None:
        self.sink.outage = Unavailable("down", retry_after_s=1)

    def come_back(self) -> None:
        self.sink.outage = None


class ClickHouseHarness:
    """The sink speaks through a proxy that can be taken down; the test reads past it."""

    def __init__(self, sink: ClickHouseSink, reader: Connection, database: str, faults: Faults) -> None:
        self.sink = sink
        self._reader = reader
        self._database = database
        self._faults = faults

    def stored(self) -> Stored:
        found = self._reader.query(
            "SELECT tenant_id, attempt_id, phase, cost_usd FROM {database:Identifier}.calls",
            parameters={"database": self._database},
        )
        rows = {(tenant, attempt): (phase, usd) for tenant, attempt, phase, usd in found.result_rows}
        assert len(rows) == len(found.result_rows), "an attempt is seen twice"
        return rows

    def go_down(self) -> None:
        self._faults.go_down()

    def come_back(self) -> None:
        self._faults.come_back()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Generator[ClickHouseSettings]:
    with running_engine(tmp_path_factory.mktemp("clickhouse")) as settings:
        yield settings


@pytest.fixture
def clickhouse_harness(engine: ClickHouseSettings) -> Generator[Harness]:
    direct = new_database(engine)
    with proxy_to(direct.port) as proxy, closing(connect(direct)) as reader:
        # Seven rows an insert: most batches take several.
        sink = ClickHouseSink(direct.model_copy(update={"port": proxy.port, "rows_per_insert": 7}))
        with closing(sink):
            yield ClickHouseHarness(sink, reader, direct.database, proxy.faults)


@pytest.fixture(params=["memory", pytest.param("clickhouse", marks=pytest.mark.integration)])
def harness(request: pytest.FixtureRequest) -> Harness:
    return FakeHarness() if request.param == "memory" else request.getfixturevalue("clickhouse_harness")


def seen(rows: Sequence[CallRow]) -> Stored:
    return {(row.tenant_id, row.attempt_id): (row.phase, row.cost.total_usd) for row in rows}


def test_a_write_that_returned_has_stored_every_row(harness: Harness) -> None:
    rows = [call_row(number, cost=priced(f"0.00000{number:04}")) for number in range(30)]
    harness.sink.write(rows)
    assert harness.stored() == seen(rows)


def test_writing_nothing_is_no_error(harness: Harness) -> None:
    harness.sink.write([])
    assert harness.stored() == {}


def test_a_batch_written_again_changes_nothing(harness: Harness) -> None:
    rows = [call_row(number) for number in range(10)]
    for _ in range(3):
        harness.sink.write(rows)
    assert harness.stored() == seen(rows)


@pytest.mark.parametrize("seed", range(3))
def test_batches_cut_elsewhere_reordered_and_replayed_count_every_attempt_once(harness: Harness, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - an order that can be had again, not a secret
    history = [call_row(number, phase) for number in range(12) for phase in PHASES]
    for _ in range(2):
        replay = history[random.randrange(len(history) // 2) :]
        random.shuffle(replay)
        while replay:
            cut = random.randint(3, 20)
            harness.sink.write(replay[:cut])
            replay = replay[cut:]
    harness.sink.write(history)
    assert harness.stored() == seen([call_row(number) for number in range(12)])


def test_the_highest_phase_wins_in_whatever_order_the_phases_arrive(harness: Harness) -> None:
    for number, order in enumerate([(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1), (1, 0, 0), (0, 0, 0)]):
        for phase in order:
            harness.sink.write([call_row(number, PHASES[phase])])
    assert [phase for phase, _ in harness.stored().values()].count("priced") == 4
    assert harness.stored()["acme", "attempt-4"] == ("settled", None)
    assert harness.stored()["acme", "attempt-5"] == ("started", None)


def test_a_phase_written_again_with_other_money_is_corrected(harness: Harness) -> None:
    harness.sink.write([call_row(1, cost=priced("0.5"))])
    harness.sink.write([call_row(1, cost=priced("0.25"))])
    assert harness.stored() == {("acme", "attempt-1"): ("priced", Decimal("0.25"))}


def test_one_id_used_by_two_tenants_is_two_attempts(harness: Harness) -> None:
    rows = [call_row(1), call_row(1, tenant_id="umbrella"), call_row(1, tenant_id="")]
    harness.sink.write(rows)
    assert harness.stored() == seen(rows)


def test_rows_of_many_months_and_of_broken_clocks_are_stored_together(harness: Harness) -> None:
    produced = [1_700_000_000_000 + MONTH_MS * months for months in range(120)]
    rows = [
        call_row(number, produced_at_ms=ms, published_at_ms=1_795_000_000_000)
        for number, ms in enumerate([0, 253_402_300_799_999, *produced])
    ]
    harness.sink.write(rows)
    assert harness.stored() == seen(rows)


@pytest.mark.parametrize("bad", [{11}, {0, 5, 6, 17, 24}, set(range(25))], ids=["one", "some", "all"])
def test_refused_rows_are_named_with_the_reason_and_all_others_are_stored(harness: Harness, bad: set[int]) -> None:
    rows = [unwritable_row(number) if number in bad else call_row(number) for number in range(25)]
    refusals = harness.sink.write(rows)
    assert [refusal.index for refusal in refusals] == sorted(bad)
    assert all(refusal.reason for refusal in refusals)
    assert harness.stored() == seen([row for number, row in enumerate(rows) if number not in bad])


def test_while_the_store_is_away_every_write_says_so_and_none_is_lost(harness: Harness) -> None:
    first, second = [call_row(1), call_row(2)], [call_row(2), call_row(3)]
    harness.sink.write(first)
    harness.go_down()
    for _ in range(2):
        with pytest.raises(Unavailable) as outage:
            harness.sink.write(second)
        assert outage.value.retry_after_s > 0
        assert outage.value.reason
    harness.come_back()
    harness.sink.write(second)
    assert harness.stored() == seen([*first, *second])


def test_closing_twice_is_no_error(harness: Harness) -> None:
    harness.sink.close()
    harness.sink.close()

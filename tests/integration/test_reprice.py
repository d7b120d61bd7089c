"""`millrace reprice` on a real engine and a real broker: history stays, the difference is written once."""

from collections.abc import Generator
from contextlib import closing
from decimal import Decimal

import pytest

from schemas.money import Price, PricePeriod
from schemas.topics import AUDIT, CONTROL
from schemas.usage import Cost
from sinks.clickhouse import ClickHouseSink
from sinks.connection import connect
from sinks.ledger import Chosen, Ledger
from sinks.settings import ClickHouseSettings
from streams.settings import KafkaSettings
from tests.clickhouse_engine import new_database, running_engine
from tests.fakes.call_rows import PRODUCED_AT_MS, call_row
from tests.integration.millrace import Millrace, Scribe, environment_of
from tests.unit.examples import deployment

pytestmark = pytest.mark.integration

PERIOD = ("--from", "2026-11-18", "--to", "2026-11-21")
LIST_USD = Decimal("0.000727500")  # 1 200 fresh, 300 cached and 210 written tokens of gpt-5-mini


@pytest.fixture
def settings(tmp_path_factory: pytest.TempPathFactory) -> Generator[ClickHouseSettings]:
    with running_engine(tmp_path_factory.mktemp("clickhouse")) as engine:
        settings = new_database(engine)
        with closing(ClickHouseSink(settings)) as sink:
            day_ms = 86_400_000
            sink.write(
                [
                    call_row(1),
                    call_row(2, cost=Cost(status="unpriced")),
                    call_row(3, produced_at_ms=PRODUCED_AT_MS + day_ms, started_at_ms=PRODUCED_AT_MS + day_ms),
                    call_row(4, tenant_id="umbrella"),
                ]
            )
        yield settings


def test_history_is_priced_again_beside_itself_and_only_once(
    settings: ClickHouseSettings, kafka: KafkaSettings
) -> None:
    scribe = Scribe(kafka)
    scribe.make(AUDIT, CONTROL)
    scribe.write(CONTROL, deployment(models={"auto": "gpt-5-mini"}).encode(), key=b"deployment/openai-1")
    millrace = Millrace(
        {
            **environment_of(kafka),
            "MILLRACE_CLICKHOUSE_HOST": settings.host,
            "MILLRACE_CLICKHOUSE_PORT": str(settings.port),
            "MILLRACE_CLICKHOUSE_DATABASE": settings.database,
        }
    )
    arguments = ("reprice", *PERIOD, "--tenant", "acme", "--json")
    with closing(connect(settings)) as connection:
        ledger = Ledger(connection, settings.database)

        def amounts() -> dict[str, Decimal | None]:
            return {call.attempt_id: call.amount_usd for call in ledger.calls(Chosen(0, PRODUCED_AT_MS + 10**9))}

        before = amounts()
        tried = millrace(*arguments, "--dry-run").json
        assert tried["written"] == 0
        assert amounts() == before

        (line,) = millrace(*arguments).json["lines"]
        assert (line["tenant_id"], line["changed"], line["newly_priced"]) == ("acme", 3, 1)
        assert Decimal(line["difference_usd"]) == 3 * LIST_USD - 2 * Decimal("0.000749501")
        assert amounts() == {**dict.fromkeys(before, LIST_USD), "attempt-4": Decimal("0.000749501")}

        again = millrace(*arguments).json
        assert (again["written"], again["lines"]) == (0, [])
        assert "0 adjustments written" in millrace(*arguments[:-1]).out

    gone = millrace("reprice", "--from", "2020-01-01")
    assert (gone.status, "are deleted or about to be" in gone.err) == (2, True)

    half = Price(name="half", models=("gpt-5-mini",), periods=(PricePeriod(discount="0.5"),))
    scribe.write(CONTROL, half.encode(), key=b"price/half")
    estimate = ("estimate", "--since", "2026-11-18", "--requests", "1", "--json")
    ours, listed = millrace(*estimate).json, millrace(*estimate, "--list-prices").json
    assert (ours["prices"], listed["prices"]) == ("half of our own, then public lists", "public lists")
    assert Decimal(ours["month_usd"]) * 2 == Decimal(listed["month_usd"]) == LIST_USD
    assert ours["price_versions"][0].startswith("price/half@")

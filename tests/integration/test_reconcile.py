"""`millrace reconcile` on a real engine and a real broker: what is written, and what a second run makes of it."""

from collections.abc import Generator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import orjson
import pytest

from schemas.audit import Audit
from schemas.topics import AUDIT
from schemas.usage import Usage
from scripts.cli.kafka import LiveCluster
from scripts.cli.reconcile import compared
from scripts.cli.since import clock
from scripts.cli.topic_reader import TopicReader
from sinks.clickhouse import ClickHouseSink
from sinks.connection import connect
from sinks.ledger import Chosen, Ledger
from sinks.settings import ClickHouseSettings
from streams.cost.reconciliation import Period
from streams.cost.usage_export import read_export
from streams.runtime.cluster import Cluster
from streams.settings import KafkaSettings
from tests.clickhouse_engine import new_database, running_engine
from tests.fakes.call_rows import PRODUCED_AT_MS, call_row, priced
from tests.integration.millrace import Millrace, Scribe, environment_of

pytestmark = pytest.mark.integration

PERIOD = ("--from", "2026-11-18", "--to", "2026-11-19")
WHOLE = Chosen(0, PRODUCED_AT_MS + 10_000_000)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Generator[ClickHouseSettings]:
    with running_engine(tmp_path_factory.mktemp("clickhouse")) as settings:
        yield settings


@pytest.fixture
def booked(engine: ClickHouseSettings) -> Generator[tuple[Ledger, ClickHouseSettings]]:
    """One call with a price, one that was lost, one that was refused; each known by its number."""
    settings = new_database(engine)
    with closing(ClickHouseSink(settings)) as sink:
        sink.write(
            [
                call_row(1, provider_request_id="req-1"),
                call_row(2, "settled", provider_request_id="req-2", error_class="timeout", usage=Usage()),
                call_row(3, cost=priced("0"), usage=Usage(), error_class="rate_limited"),
            ]
        )
    with closing(connect(settings)) as connection:
        yield Ledger(connection, settings.database), settings


@pytest.fixture
def millrace(booked: tuple[Ledger, ClickHouseSettings], kafka: KafkaSettings) -> Millrace:
    Scribe(kafka).make(AUDIT)
    _, settings = booked
    return Millrace(
        {
            **environment_of(kafka),
            "MILLRACE_CLICKHOUSE_HOST": settings.host,
            "MILLRACE_CLICKHOUSE_PORT": str(settings.port),
            "MILLRACE_CLICKHOUSE_DATABASE": settings.database,
        }
    )


def line(number: int, usd: str, **changes: str | None) -> bytes:
    said = {
        "time": "2026-11-18T11:06:45+00:00",
        "provider": "openai",
        "model": "gpt-5-mini",
        "request_id": f"req-{number}",
        "client_request_id": f"attempt-{number}",
        "cost_usd": usd,
    }
    return orjson.dumps({**said, **changes}) + b"\n"


def amounts(ledger: Ledger) -> dict[str, Decimal | None]:
    return {call.attempt_id: call.amount_usd for call in ledger.calls(WHOLE)}


def audits(kafka: KafkaSettings) -> list[Audit]:
    with TopicReader(LiveCluster(kafka, Cluster(kafka).existing()), AUDIT) as reader:
        return [Audit.decode(record.value or b"") for record in reader.read(reader.spans())]


def test_what_the_provider_charged_is_what_we_have_afterwards_and_again(
    millrace: Millrace, booked: tuple[Ledger, ClickHouseSettings], kafka: KafkaSettings, tmp_path: Path
) -> None:
    ledger, _ = booked
    export = tmp_path / "bill.jsonl"
    export.write_bytes(line(1, "0.000749501") + line(2, "0.000000003") + line(9, "0.25", client_request_id=None))
    arguments = ("reconcile", "--usage", str(export), *PERIOD, "--json")

    tried = millrace(*arguments, "--dry-run").json
    assert (tried["to_write"], tried["written"], audits(kafka)) == (2, 0, [])

    first = millrace(*arguments)
    assert first.status == 0, first.err
    said = first.json
    assert (said["agreeing"], said["adjusted"], said["unknown_to_us"], said["not_found_by_them"]) == (2, 1, 1, 0)
    assert (said["difference_usd"], said["theirs_usd"]) == ("0.000000000", "0.250749504")
    assert amounts(ledger) == {
        "attempt-1": Decimal("0.000749501"),
        "attempt-2": Decimal("0.000000003"),
        "attempt-3": Decimal(0),
    }
    assert [each.action for each in audits(kafka)] == ["reconciled"]

    again = millrace(*arguments).json
    assert (again["written"], again["ours_before_usd"]) == (0, "0.250749504")
    assert len(audits(kafka)) == 1

    export.write_bytes(line(1, "0.000749501") + line(2, "0.5"))
    later = millrace(*arguments).json
    assert (later["ours_before_usd"], later["ours_after_usd"]) == ("0.250749504", "0.500749501")
    assert sum(each.delta_usd for each in ledger.adjustments(0, WHOLE.end_ms)) == Decimal("0.5")


@pytest.mark.parametrize("without", ["request_id", "client_request_id"])
def test_a_call_that_may_still_be_priced_waits_with_its_record(
    booked: tuple[Ledger, ClickHouseSettings], without: str
) -> None:
    """Adjusted now and priced later, it would count twice."""
    ledger, _ = booked
    records = read_export(line(2, "0.5", **{without: None}), "bill")

    def written(looked_ms: int) -> list[Decimal]:
        whole = Period(WHOLE.start_ms, WHOLE.end_ms)
        result = compared(ledger, records, WHOLE, whole, is_complete=False, run_id="run", open_since_ms=looked_ms)
        return [each.after_usd for each in result.writes]

    assert written(PRODUCED_AT_MS + 60_000) == []
    assert written(PRODUCED_AT_MS + 3_600_000) == [Decimal("0.5")]


def test_a_call_of_which_the_provider_has_no_record_is_named_and_the_command_fails(
    millrace: Millrace, tmp_path: Path
) -> None:
    export = tmp_path / "bill.csv"
    export.write_text("time,provider,cost_usd\n2026-11-18T11:06:40Z,openai,0\n")
    ended = millrace("reconcile", "--usage", str(export), "--provider", "openai", *PERIOD)
    assert ended.status == 1
    assert "attempt-1" in ended.out
    assert "difference after" in ended.out
    assert "0.000749501" in ended.out


def test_a_period_whose_calls_may_be_deleted_is_refused_and_the_horizon_named(
    millrace: Millrace, booked: tuple[Ledger, ClickHouseSettings], tmp_path: Path
) -> None:
    ledger, _ = booked
    export = tmp_path / "old.jsonl"
    export.write_bytes(line(1, "0.5", time="2020-01-01T10:00:00Z"))
    ended = millrace("reconcile", "--usage", str(export), "--from", "2020-01-01", "--to", "2020-01-02")
    assert ended.status == 2
    assert f"calls of before {clock(ledger.whole_since_ms() + 3_600_000)} UTC are deleted" in ended.err
    assert ledger.adjustments(0, WHOLE.end_ms) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--usage", "nowhere.csv"), "nowhere.csv cannot be read"),
        (("--usage", "http://127.0.0.1:9/_bill/lines"), "does not answer"),
        (("--usage", "/dev/null"), "say with --provider"),
        (("--usage", "/dev/null", "--from", "2026-11-18", "--to", "2026-11-17"), "--from must be before --to"),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(millrace: Millrace, arguments: tuple[str, ...], complaint: str) -> None:
    ended = millrace("reconcile", *arguments)
    assert ended.status == 2
    assert complaint in ended.err
    assert len(ended.err.splitlines()) == 1

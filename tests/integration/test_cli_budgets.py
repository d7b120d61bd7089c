"""Budgets at the command line, on a real broker: where they stand, an operator's word, why one was stopped, and whether
the accounts are what history says.
"""

from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from schemas.account import Account
from schemas.audit import Audit
from schemas.call import CallRow
from schemas.flow import Admitted
from schemas.money import Budget, Override
from schemas.topics import (
    ACCOUNTS,
    ADMITTED,
    ALERTS,
    AUDIT,
    BUDGETS,
    CALLS,
    COMPLETIONS,
    CONTROL,
    DEAD_LETTERS,
    DEFERRED,
    NOTICES,
    VALIDATED,
)
from schemas.usage import Cost
from sinks.connection import connect
from streams.settings import KafkaSettings
from streams.stages import limit
from tests.clickhouse_engine import new_database, running_engine
from tests.fakes.call_rows import call_row
from tests.integration.millrace import Millrace, environment_of
from tests.integration.worker_thread import Bench
from tests.unit.examples import accepted, deployment, prompt

pytestmark = pytest.mark.integration

ESTIMATE = Decimal("0.0010265")
"""Of a request of 10 tokens in and 512 out to gpt-5-mini."""


@pytest.fixture(autouse=True)
def _away_from_any_local_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def millrace(kafka: KafkaSettings) -> Millrace:
    return Millrace(environment_of(kafka))


@pytest.fixture
def bench(kafka: KafkaSettings) -> Iterator[Bench]:
    """Room for two requests, of which the third was refused; the first has cost something, the second is under way."""
    with Bench(kafka) as bench:
        bench.configure()
        bench.log.create(
            DEAD_LETTERS, VALIDATED, ADMITTED, DEFERRED, NOTICES, CALLS, ACCOUNTS, BUDGETS, COMPLETIONS, ALERTS, AUDIT
        )
        month = Budget(name="acme-month", tenant="acme", period="month", usd=str(ESTIMATE * 2))
        bench.log.write(CONTROL, deployment(models={"gpt-5-mini": "gpt-5-mini"}), key="deployment/openai-1")
        bench.log.write(CONTROL, month, key="budget/acme-month")
        bench.log.flush()
        bench.start(limit.STAGE)
        ask(bench, "first")
        bench.log.read_count(ADMITTED, 1)
        bench.log.write(CALLS, row("first", "0.0009"), key="acme")
        bench.log.flush()
        bench.log.read_count(BUDGETS, 1)
        ask(bench, "second")
        bench.log.write(VALIDATED, accepted("third", user_id="ada", prompt=prompt(max_tokens=800)), key="acme")
        bench.log.flush()
        bench.log.read_count(COMPLETIONS, 1)
        yield bench


def ask(bench: Bench, *request_ids: str) -> None:
    for request_id in request_ids:
        bench.log.write(VALIDATED, accepted(request_id, user_id="ada"), key="acme")
    bench.log.flush()


def row(request_id: str, usd: str) -> CallRow:
    cost = Cost(status="priced", total_usd=Decimal(usd))
    return call_row(request_id=request_id, attempt_id=f"attempt-{request_id}", cost=cost, published_at_ms=1)


def only(lines: list[dict[str, Any]]) -> dict[str, Any]:
    (line,) = lines
    return line


@pytest.mark.usefixtures("bench")
def test_list_shows_what_is_spent_held_and_left(millrace: Millrace) -> None:
    line = only(millrace("budgets", "list", "--json").json)

    assert (line["budget"], line["limit"]) == ("acme-month", "0.002053")
    assert (line["spent"], line["held"], line["left"]) == ("0.0009", "0.0010265", "0.0001265")
    assert line["told"] == "80 %, 100 %"
    assert "0.0001265" in millrace("budgets", "list", "--tenant", "acme").out
    assert millrace("budgets", "list", "--tenant", "globex", "--json").json == []


def test_an_override_lets_more_through_at_once_and_says_who_and_why(bench: Bench, millrace: Millrace) -> None:
    ended = millrace("budgets", "override", "acme-month", "--usd", "1", "--reason", "quarter end", "--by", "ops")
    assert ended.status == 0, ended.err
    bench.await_obeyed("limit")  # a busy machine may pass on the request first
    ask(bench, "fourth")
    bench.log.read_count(ADMITTED, 3)

    admitted = {event.ticket.request_id for event in bench.log.events(ADMITTED, Admitted)}
    assert admitted == {"first", "second", "fourth"}
    told = bench.log.events(AUDIT, Audit)
    assert [(each.action, each.subject, each.by, each.reason) for each in told] == [
        ("budget_override", "budget/acme-month", "ops", "quarter end")
    ]
    name = told[0].detail["override"]
    assert millrace("budgets", "end-override", name, "--reason", "done").status == 0
    made = [
        Override.decode(each.value or b"")
        for each in bench.log.read(CONTROL)
        if each.key == f"override/{name}".encode()
    ]
    assert made[-1].until_ms < made[0].until_ms
    assert millrace("budgets", "end-override", name, "--reason", "done").status == 2


def test_what_is_not_meant_is_refused_in_a_sentence(bench: Bench, millrace: Millrace) -> None:
    for arguments, sentence in (
        (("nobodys", "--usd", "1", "--reason", "x"), "there is no budget nobodys; there is: acme-month"),
        (("acme-month", "--usd", "-1", "--reason", "x"), "--usd -1: give an amount of USD above 0"),
        (("acme-month", "--usd", "NaN", "--reason", "x"), "--usd NaN: give an amount of USD above 0"),
        (("acme-month", "--usd", "1", "--reason", " "), "--reason: say why"),
        (("acme-month", "--usd", "1", "--reason", "x", "--for", "soon"), "'soon' is not a length of time"),
    ):
        ended = millrace("budgets", "override", *arguments)
        assert ended.status == 2
        assert sentence in ended.err
        assert "Traceback" not in ended.err
    assert not bench.log.events(AUDIT, Audit)


@pytest.mark.usefixtures("bench")
def test_explain_says_where_the_budget_stood_and_what_it_was_spent_on(millrace: Millrace) -> None:
    found = millrace("accounts", "explain", "--tenant", "acme", "--at", "1m", "--json").json

    refusal = only(found["refusals"])
    assert (refusal["request_id"], refusal["user_id"], refusal["code"]) == ("third", "ada", "budget_exceeded")
    assert "0.0009 are spent, 0.0010265 held for requests under way" in refusal["message"]
    assert only(found["budgets"])["shares"][0] == ["feature", "search", "0.0009", 1]
    shown = millrace("accounts", "explain", "--tenant", "acme", "--request", "third").out
    assert "had been spent by" in shown
    assert (
        "nothing of acme was refused" in millrace("accounts", "explain", "--tenant", "acme", "--request", "first").out
    )
    assert millrace("accounts", "explain", "--tenant", "acme").status == 2


def test_verify_agrees_and_finds_a_row_that_was_not_counted(bench: Bench, millrace: Millrace) -> None:
    sound = millrace("accounts", "verify", "--json")
    assert (sound.status, only(sound.json["accounts"])["account_usd"]) == (0, "0.0009")

    newest = bench.log.read(BUDGETS)[-1]
    wrong = replace(Account.decode(newest.value or b""), spent_usd=Decimal(7))
    bench.log.write(BUDGETS, wrong, key=(newest.key or b"").decode(), partition_by="acme")
    bench.log.flush()

    found = millrace("accounts", "verify")
    assert found.status == 1
    assert "DIFFERS" in found.out


@pytest.mark.usefixtures("bench")
def test_where_budgets_stand_is_copied_into_clickhouse_for_analysts(kafka: KafkaSettings, tmp_path: Path) -> None:
    with running_engine(tmp_path / "clickhouse") as engine:
        settings = new_database(engine)
        millrace = Millrace(
            {
                **environment_of(kafka),
                "MILLRACE_CLICKHOUSE_PORT": str(settings.port),
                "MILLRACE_CLICKHOUSE_DATABASE": settings.database,
            }
        )
        for _ in range(2):
            stored = millrace("budgets", "store")
            assert (stored.status, stored.out) == (0, "1 accounts stored\n"), stored.err
        with closing(connect(settings)) as connection:
            found = connection.query(
                "SELECT tenant_id, budget, spent_usd, limit_usd FROM {d:Identifier}.budget_status",
                parameters={"d": settings.database},
            )

    assert list(found.result_rows) == [("acme", "acme-month", Decimal("0.0009"), Decimal("0.002053"))]

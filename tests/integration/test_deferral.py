"""Requests over a limit that wait on a real broker: through a restart, in order, while others go by."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.control import Limits
from schemas.flow import Admitted, Completion
from schemas.notice import Notice
from schemas.topics import (
    ACCOUNTS,
    ADMITTED,
    ALERTS,
    BUDGETS,
    CALLS,
    COMPLETIONS,
    CONTROL,
    DEAD_LETTERS,
    DEFERRED,
    NOTICES,
    VALIDATED,
)
from scripts.stack.readiness import holds_within
from streams.clock import now_ms
from streams.settings import KafkaSettings
from streams.stages import limit
from tests.integration.kafka_log import WITHIN_S
from tests.integration.millrace import Millrace, environment_of
from tests.integration.worker_thread import Bench
from tests.unit.examples import accepted, tenant

pytestmark = pytest.mark.integration

ONE_IN_TWO_SECONDS = Limits(requests_per_minute=30, burst_requests=1)


@pytest.fixture
def bench(kafka: KafkaSettings) -> Iterator[Bench]:
    with Bench(kafka) as bench:
        bench.configure()
        bench.log.create(
            DEAD_LETTERS, VALIDATED, ADMITTED, DEFERRED, NOTICES, CALLS, ACCOUNTS, BUDGETS, COMPLETIONS, ALERTS
        )
        patient = tenant(limits=ONE_IN_TWO_SECONDS, on_limit="defer")
        for each in (patient, tenant("globex")):
            bench.log.write(CONTROL, each, key=f"tenant/{each.name}")
        bench.log.flush()
        yield bench


def ask(bench: Bench, *names: str, tenant_id: str = "acme", deadline_ms: int | None = None) -> None:
    for name in names:
        bench.log.write(VALIDATED, accepted(name, tenant_id=tenant_id, deadline_ms=deadline_ms), key=tenant_id)
    bench.log.flush()


def admitted(bench: Bench, tenant_id: str = "acme") -> list[str]:
    tickets = [event.ticket for event in bench.log.events(ADMITTED, Admitted)]
    return [ticket.request_id for ticket in tickets if ticket.tenant_id == tenant_id]


def test_what_is_over_a_limit_survives_a_restart_leaves_in_order_and_holds_up_nobody(
    bench: Bench, kafka: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = bench.start(limit.STAGE)
    ask(bench, "a", "b", "c", "d")
    ask(bench, "late", deadline_ms=now_ms() + 4_000)
    assert holds_within(WITHIN_S, lambda: first.metric("millrace_deferred", stage="limit") == 4)
    ask(bench, "other", tenant_id="globex")
    assert holds_within(WITHIN_S, lambda: admitted(bench, "globex") == ["other"])
    assert first.progress.health().in_flight == 0  # who waits for its limits is no sign of a worker that stands still

    (shown,) = Millrace(environment_of(kafka))("accounts", "waiting", "--json").json["waiting"]
    first.stop()
    bench.start(limit.STAGE)

    assert holds_within(WITHIN_S, lambda: admitted(bench) == ["a", "b", "c", "d"]), admitted(bench)
    # the command takes its time to start, and those before leave meanwhile
    assert (shown["tenant"], 1 <= shown["requests"] <= 4, shown["estimated_wait_ms"] > 0) == ("acme", True, True)
    # one that expired before the restart is told again after it: what follows answers it once
    told = {(event.ticket.request_id, event.status) for event in bench.log.events(COMPLETIONS, Completion)}
    assert told == {("late", "expired")}
    notices = bench.log.events(NOTICES, Notice)
    fits_ms = {n.request_id: n.at_ms + n.estimated_wait_ms for n in notices if n.state == "deferred"}
    assert [*fits_ms] == ["b", "c", "d", "late"]
    went_on_ms = {n.request_id: n.at_ms for n in notices if n.state == "admitted"}
    assert [*went_on_ms] == ["b", "c", "d"]
    assert all(abs(went_on_ms[name] - fits_ms[name]) < 1_500 for name in went_on_ms), (fits_ms, went_on_ms)
    bench.log.await_finished("limit", DEFERRED, 4)

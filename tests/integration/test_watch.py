"""`watch` as an operator runs it: a process against a real broker, judged by what it writes."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from schemas.control import Tenant
from schemas.topics import CALLS, DEAD_LETTERS
from schemas.usage import Cost
from scripts.stack.broker import Cluster as Broker
from scripts.stack.process import log_tail
from scripts.stack.readiness import holds_within
from scripts.stack.supervised import BROKEN_EXIT_STATUS
from streams.runtime.cluster import Cluster
from streams.settings import KafkaSettings
from tests.fakes.call_rows import priced
from tests.integration.watch_fleet import ANSWER_S, FREE, START_S, Fleet

pytestmark = [pytest.mark.integration, pytest.mark.timeout(200)]


@pytest.fixture
def fleet(kafka: KafkaSettings, tmp_path: Path) -> Iterator[Fleet]:
    """Nobody works yet."""
    with ExitStack() as held:
        yield Fleet(kafka, tmp_path, held)


@pytest.fixture(scope="module")
def at_work(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One worker for the tests that leave it as they found it, each with deployments and tenants of its own."""
    kafka = KafkaSettings(
        bootstrap_servers=broker.bootstrap_servers, topic_prefix="watch.", group_prefix="watching.", partitions=2
    )
    with ExitStack() as held:
        fleet = Fleet(kafka, tmp_path_factory.mktemp("watch"), held)
        fleet.start()
        yield fleet


def soon(condition: Callable[[], bool]) -> bool:
    return holds_within(ANSWER_S, condition)


def damage(directory: Path) -> None:
    """Of the files there, one in three is cut in half, one is overwritten and one is gone."""
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path.stat().st_size)
    assert len(files) > 3
    for number, path in enumerate(files):
        content = path.read_bytes()
        match number % 3:
            case 0:
                path.write_bytes(content[: len(content) // 2])
            case 1:
                path.write_bytes(b"\xff" * len(content))
            case _:
                path.unlink()


def listening_ports(pid: int) -> set[int]:
    """TCP ports on which a process of this machine listens, on any address."""
    inodes: set[str] = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            inodes.add(link.readlink().name.removeprefix("socket:[").removesuffix("]"))
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    ]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A" and row[9] in inodes}


def test_failures_open_the_breaker_time_half_opens_it_and_a_probe_closes_it(at_work: Fleet) -> None:
    at_work.calls(12, "timeout", tenants=5)
    assert soon(lambda: at_work.breaker_states("openai-1") == ["open"])
    assert soon(lambda: at_work.breaker_states("openai-1") == ["open", "half_open"]), "no traffic is needed for that"
    at_work.calls(1, None)
    assert soon(lambda: at_work.breaker_states("openai-1") == ["open", "half_open", "closed"])

    assert soon(lambda: len(at_work.alerts("deployment/openai-1")) == 2)
    assert at_work.alerts("deployment/openai-1") == ["deployment_unhealthy", "deployment_recovered"]


def test_requests_that_are_wrong_and_calls_that_succeed_do_not_open_a_breaker(at_work: Fleet) -> None:
    before = at_work.finished("call")

    at_work.calls(20, "bad_request", deployment="blameless")
    at_work.calls(11, None, deployment="mostly-well")
    at_work.calls(10, "timeout", deployment="mostly-well")
    at_work.calls(10, "timeout", deployment="broken")

    assert soon(lambda: at_work.breaker_states("broken")[:1] == ["open"])
    assert soon(lambda: at_work.finished("call") == before + 51)
    assert at_work.breaker_states("blameless") == []
    assert at_work.breaker_states("mostly-well") == []


def test_a_429_slows_the_whole_fleet_down_and_opens_no_breaker(at_work: Fleet) -> None:
    at_work.calls(10, None, deployment="limited")
    at_work.calls(12, "rate_limited", deployment="limited")

    assert soon(lambda: len(at_work.paces("limited")) == 1)
    (cut,) = at_work.paces("limited")
    assert cut.goal_per_minute in range(300, 601, 60), "what was answered in the busiest second, or two"
    assert cut.requests_per_minute == cut.goal_per_minute // 2
    assert soon(lambda: len(at_work.paces("limited")) == 2), "no traffic is needed for a step back"
    assert at_work.paces("limited")[1].requests_per_minute == cut.requests_per_minute + cut.goal_per_minute // 10
    assert at_work.breaker_states("limited") == []


def test_an_unreadable_row_is_kept_for_the_operator_and_the_next_one_counts(at_work: Fleet) -> None:
    at_work.configure(Tenant(name="careful", open=True, daily_spend_alert_usd="0.99"))

    at_work.send_rubbish("careful", b'{"schema_version":')
    at_work.send_rubbish("careful", None)
    at_work.send(at_work.row(tenant_id="careful", cost=priced("1")))

    assert soon(lambda: at_work.alerts("tenant/careful") == ["daily_spend"])
    assert soon(lambda: len(at_work.dead_letters()) == 2)
    letter = at_work.dead_letters()[0]
    headers = dict(letter.headers() or [])
    assert (letter.key(), letter.value()) == (b"careful", b'{"schema_version":')
    assert (headers["millrace-stage"], headers["millrace-reason"]) == (b"watch", b"unreadable")
    assert headers["millrace-topic"] == at_work.kafka.topic(CALLS).encode()


def test_a_release_that_can_read_nothing_ends_for_good_and_the_next_takes_what_it_left(fleet: Fleet) -> None:
    fleet.configure(Tenant(name="acme", open=True, daily_spend_alert_usd="0.99"))
    child = fleet.launch("broken", "scripts.cli", "watch")
    for _ in range(30):
        fleet.send_rubbish("acme", b'{"schema_version":')
    fleet.send(fleet.row(cost=priced("1")))

    assert holds_within(START_S, lambda: not child.running), log_tail(fleet.log("broken"))

    assert child.stop(1) == BROKEN_EXIT_STATUS
    said = log_tail(fleet.log("broken"))
    assert f"became dead letters, or were about to, all of {fleet.kafka.topic(CALLS)}, now for unreadable" in said
    left = 31 - fleet.committed()
    assert soon(lambda: len(fleet.dead_letters()) == 31 - left), "of the batch that is read again nothing was buried"
    assert left > 10
    fleet.launch(MILLRACE_WORKER_SPILL_PERCENT="100")
    assert holds_within(START_S, lambda: fleet.alerts("tenant/acme") == ["daily_spend"]), log_tail(fleet.log())
    assert soon(lambda: fleet.committed() == 31)


def test_a_row_that_comes_twice_is_booked_once_and_nobody_is_told_twice(at_work: Fleet) -> None:
    at_work.configure(Tenant(name="twice", open=True, daily_spend_alert_usd="2.5"))
    rows = [at_work.row(tenant_id="twice", cost=priced("1")) for _ in range(2)]
    free = [at_work.row(tenant_id=f"t{n}", cost=Cost(status="unpriced"), model_used="gpt-9") for n in range(4)]

    before = at_work.finished("repeated")
    at_work.send(*rows, *rows, *rows)
    assert soon(lambda: at_work.finished("repeated") == before + 4)
    assert at_work.alerts("tenant/twice") == []
    at_work.send(at_work.row(tenant_id="twice", cost=priced("1")), at_work.row(tenant_id="twice", cost=priced("1")))
    assert soon(lambda: at_work.alerts("tenant/twice") == ["daily_spend"])

    before = at_work.finished("unpriced")
    at_work.send(*free)
    assert soon(lambda: at_work.finished("unpriced") == before + 4)
    assert at_work.alerts("model/gpt-9") == ["unpriced_model"]


def test_a_tenant_whose_requests_mostly_fail_is_told_about_once(at_work: Fleet) -> None:
    before = at_work.finished("priced")

    at_work.send(*(at_work.row(tenant_id="unlucky", request_status="failed", cost=FREE) for _ in range(39)))

    assert soon(lambda: at_work.finished("priced") == before + 39)
    assert at_work.alerts("tenant/unlucky") == ["error_share"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_only_open_port_is_the_one_for_observation(at_work: Fleet) -> None:
    assert listening_ports(at_work.workers["watch"].pid) == {at_work.port()}


def test_a_worker_that_was_killed_and_whose_data_is_damaged_goes_on_where_it_was(fleet: Fleet) -> None:
    fleet.configure(Tenant(name="acme", open=True, daily_spend_alert_usd="1.5"))
    child = fleet.start()
    booked = fleet.row(cost=priced("1"))
    fleet.send(booked)
    fleet.calls(10, "overloaded")
    assert soon(lambda: fleet.breaker_states("openai-1")[:1] == ["open"])
    assert soon(lambda: fleet.finished("priced") == 1)

    child.kill()
    damage(fleet.directory / "watch")
    fleet.start()
    assert soon(lambda: fleet.breaker_states("openai-1") == ["open", "half_open"])
    fleet.calls(1, None)
    assert soon(lambda: fleet.breaker_states("openai-1") == ["open", "half_open", "closed"])

    fleet.send(booked)
    assert soon(lambda: fleet.finished("repeated") >= 1)
    assert fleet.alerts("tenant/acme") == []
    fleet.send(fleet.row(cost=priced("1")))
    assert soon(lambda: fleet.alerts("tenant/acme") == ["daily_spend"])


def test_workers_share_the_rows_and_speak_about_a_deployment_with_one_voice(fleet: Fleet) -> None:
    deployments = [f"openai-{number}" for number in range(4)]
    leaving = fleet.start("first")
    fleet.start("second")

    for deployment in deployments:
        fleet.calls(12, "server_error", deployment=deployment, tenants=6)
    for deployment in deployments:
        assert soon(lambda name=deployment: fleet.breaker_states(name) == ["open", "half_open"])
    assert all(fleet.finished("settled", name) > 0 for name in ("first", "second"))

    assert fleet.stop(leaving) == 0
    for deployment in deployments:
        fleet.calls(1, None, deployment=deployment, tenants=6)
    for deployment in deployments:
        assert soon(lambda name=deployment: fleet.breaker_states(name) == ["open", "half_open", "closed"])
        told = ["deployment_unhealthy", "deployment_recovered"]
        assert soon(lambda name=deployment, told=told: fleet.alerts(f"deployment/{name}") == told)


def test_a_row_that_cannot_even_be_buried_ends_the_process_and_is_not_lost(fleet: Fleet) -> None:
    dead_letters = fleet.kafka.topic(DEAD_LETTERS)
    fleet.admin.delete_topics([dead_letters])[dead_letters].result(10)
    child = fleet.launch(MILLRACE_KAFKA_DELIVERY_TIMEOUT_MS="5000")

    fleet.send_rubbish("acme", b"rubbish")
    assert child.wait(START_S) not in (0, -9)

    Cluster(fleet.kafka).apply()
    fleet.start()
    assert soon(lambda: [letter.value() for letter in fleet.dead_letters()] == [b"rubbish"])


def test_what_waits_while_the_broker_looks_up_what_is_committed_is_read_and_committed_once(
    fleet: Fleet,
) -> None:
    first = fleet.start()
    fleet.calls(10, None, tenants=4)
    assert soon(lambda: fleet.committed() == 10)
    assert fleet.stop(first) == 0
    fleet.send_many([fleet.row("settled", tenant_id=f"tenant-{number % 4}") for number in range(2_000)])

    fleet.launch(module="tests.integration.slow_watch", MILLRACE_WATCH_COMMIT_INTERVAL_MS="1000")

    assert holds_within(START_S, lambda: fleet.committed() > 10)
    assert holds_within(ANSWER_S, lambda: fleet.committed() == 2_010), "one record a second would take minutes"
    assert fleet.finished("settled") == 2_000


def test_a_change_of_a_table_that_the_broker_refuses_ends_the_process_and_its_row_is_taken_again(fleet: Fleet) -> None:
    changelog = f"{fleet.kafka.group('watch')}-attempts-changelog"
    child = fleet.start()
    fleet.largest_record(changelog, 1)

    fleet.send(fleet.row(cost=priced("1")))
    assert child.wait(START_S) not in (0, -9)
    assert fleet.committed() == 0

    fleet.largest_record(changelog, 1_000_000)
    fleet.start()
    assert soon(lambda: fleet.finished("priced") == 1)
    assert soon(lambda: fleet.committed() == 1)


def test_a_start_that_stands_still_ends_the_process_and_the_next_one_does_the_work(fleet: Fleet) -> None:
    fleet.calls(10, None)
    stuck = fleet.launch(module="tests.integration.stuck_watch")

    assert stuck.wait(START_S) == 1
    assert "_wait_for_ever" in fleet.log().read_text(), "what its tasks waited for"

    fleet.start()
    assert soon(lambda: fleet.committed() == 10)

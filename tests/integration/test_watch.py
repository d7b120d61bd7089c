"""`watch` as an operator runs it: a process against a real broker, judged by what it writes."""

import json
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from time import time_ns
from typing import Any

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from schemas.alert import Alert
from schemas.call import CallRow, Phase
from schemas.control import Breaker, Tenant, control_key
from schemas.topics import ALERTS, CALLS, CONTROL, DEAD_LETTERS, Topic
from schemas.usage import Cost
from scripts.stack.broker import Cluster as Broker
from scripts.stack.process import Child, Command, log_tail, spawn
from scripts.stack.readiness import holds_within
from streams.runtime.clients import admin_config, producer_config, reader_config
from streams.runtime.cluster import Cluster
from streams.settings import KafkaSettings
from tests.fakes.call_rows import call_row, priced

pytestmark = [pytest.mark.integration, pytest.mark.timeout(200)]

START_S = 70
ANSWER_S = 20
OPEN_S = 2
FREE = priced("0")


class Fleet:
    """The topics of one test, the `watch` processes on them, and what these have written."""

    def __init__(self, kafka: KafkaSettings, directory: Path, held: ExitStack) -> None:
        self.kafka = kafka
        self.directory = directory
        self._held = held
        self._producer = Producer({**producer_config(kafka, "test"), "log_level": 0})
        self._seen: dict[Topic, list[Message]] = {CONTROL: [], ALERTS: [], DEAD_LETTERS: []}
        self._readers: dict[Topic, Consumer] = {}
        self.admin: Any = AdminClient(admin_config(kafka))  # its stubs leave the types of futures' results open
        self._rows = 0
        self.workers: dict[str, Child] = {}
        Cluster(kafka).apply()

    def start(self, name: str = "watch") -> Child:
        """A worker that has its partitions and has read its tables and the configuration. One whose start stood still
        is begun again, as whoever supervises it does.
        """
        child = self._begin(name)
        if not child.running:
            assert "watch stood still" in log_tail(self.log(name)), log_tail(self.log(name))
            child = self._begin(name)
        assert child.running, log_tail(self.log(name))
        return child

    def _begin(self, name: str) -> Child:
        child = self.launch(name)
        assert holds_within(START_S, lambda: self._state(name) == "running" or not child.running), log_tail(
            self.log(name)
        )
        return child

    def launch(self, name: str = "watch", module: str = "streams.watch", **settings: str) -> Child:
        """Warnings are errors in it, so that a library's deprecation is noticed here first."""
        kafka = {f"MILLRACE_KAFKA_{field.upper()}": str(value) for field, value in self._kafka_settings().items()}
        self._port_file(name).unlink(missing_ok=True)
        own = {
            "MILLRACE_WATCH_DATA_DIR": str(self.directory / name),
            "MILLRACE_WATCH_WINDOW_S": "6",
            "MILLRACE_WATCH_OPEN_S": str(OPEN_S),
            "MILLRACE_WATCH_TICK_S": "0.2",
            "MILLRACE_WATCH_COMMIT_INTERVAL_MS": "200",
            "MILLRACE_OBSERVE_PORT_FILE": str(self._port_file(name)),
        }
        argv = (sys.executable, "-W", "error", "-m", module)
        child = spawn(Command(argv, self.log(name), env={**kafka, **own, **settings}))
        self._held.callback(child.stop, 10)
        self.workers[name] = child
        return child

    def committed(self) -> int:
        """How many of the rows are behind what the group has committed."""
        name, group = self.kafka.topic(CALLS), self.kafka.group("watch")
        where = [TopicPartition(name, partition) for partition in range(self.kafka.partitions)]
        asked = self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, where)])
        return sum(max(0, found.offset) for found in asked[group].result(10).topic_partitions)

    def largest_record(self, topic: str, size: int) -> None:
        """The broker refuses larger ones on this topic."""
        change = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
        where = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[change])
        self.admin.incremental_alter_configs([where])[where].result(10)

    def log(self, name: str = "watch") -> Path:
        return self.directory / f"{name}.log"

    def stop(self, child: Child) -> int:
        return child.stop(20)

    def finished(self, outcome: str, name: str = "watch") -> int:
        """How many events the worker has finished in this way."""
        sample = f'millrace_events_total{{outcome="{outcome}",stage="watch"}} '
        found = [line.removeprefix(sample) for line in self._get(name, "metrics").splitlines() if sample in line]
        return int(float(found[0])) if found else 0

    def configure(self, tenant: Tenant) -> None:
        self._write(CONTROL, control_key(tenant), tenant.encode())

    def send(self, *rows: CallRow) -> None:
        for row in rows:
            self._write(CALLS, row.tenant_id, row.encode())

    def send_rubbish(self, tenant: str, value: bytes | None) -> None:
        self._write(CALLS, tenant, value)

    def calls(self, count: int, error: str | None, *, deployment: str = "openai-1", tenants: int = 1) -> None:
        """The settled rows of `count` calls that begin and end now."""
        self.send(
            *(
                self.row("settled", error_class=error, deployment=deployment, tenant_id=f"tenant-{number % tenants}")
                for number in range(count)
            )
        )

    def row(self, phase: Phase = "priced", **changes: Any) -> CallRow:
        self._rows += 1
        now_ms = time_ns() // 1_000_000
        return call_row(self._rows, phase, **{"started_at_ms": now_ms, "provider_ms": 50, **changes})

    def breaker_states(self, deployment: str) -> list[str]:
        found = [message for message in self._read(CONTROL) if message.key() == b"breaker/" + deployment.encode()]
        return [Breaker.decode(message.value() or b"").state for message in found]

    def alerts(self, subject: str) -> list[str]:
        found = [Alert.decode(message.value() or b"") for message in self._read(ALERTS)]
        return [alert.alert for alert in found if alert.subject == subject]

    def dead_letters(self) -> list[Message]:
        return self._read(DEAD_LETTERS)

    def _read(self, topic: Topic) -> list[Message]:
        if topic not in self._readers:
            name = self.kafka.topic(topic)
            partitions = range(1 if topic.partitions == 1 else self.kafka.partitions)
            reader = Consumer({**reader_config(self.kafka), "enable.partition.eof": False})
            reader.assign([TopicPartition(name, partition, 0) for partition in partitions])
            self._readers[topic] = reader
            self._held.callback(reader.close)
        self._seen[topic] += [m for m in self._readers[topic].consume(100, 0.05) if m.error() is None]
        return self._seen[topic]

    def send_many(self, rows: list[CallRow]) -> None:
        for row in rows:
            self._producer.produce(self.kafka.topic(CALLS), key=row.tenant_id, value=row.encode())
        assert self._producer.flush(20) == 0

    def _write(self, topic: Topic, key: str, value: bytes | None) -> None:
        self._producer.produce(self.kafka.topic(topic), key=key, value=value)
        assert self._producer.flush(10) == 0

    def _kafka_settings(self) -> dict[str, object]:
        return self.kafka.model_dump(exclude_defaults=True)

    def _port_file(self, name: str) -> Path:
        return self.directory / f"{name}.port"

    def port(self, name: str = "watch") -> int:
        return int(self._port_file(name).read_text())

    def _get(self, name: str, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port(name)}/{path}", timeout=5) as answer:
            return answer.read().decode()

    def _state(self, name: str) -> str:
        try:
            return str(json.loads(self._get(name, "healthz"))["state"])
        except OSError:
            return "absent"


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

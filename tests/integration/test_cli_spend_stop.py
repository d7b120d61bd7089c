"""Who was stopped for spending too fast is listed, and let go with a record of who said so and why."""

import time
from pathlib import Path

import pytest

from schemas.audit import Audit
from schemas.money import SpendStop
from schemas.topics import AUDIT, CONTROL
from scripts.cli.control_topic import read_control
from scripts.cli.kafka import LiveCluster
from scripts.cli.topic_reader import TopicReader
from streams.limits_stop import stopped
from streams.settings import KafkaSettings
from tests.integration.millrace import Millrace, Scribe, environment_of

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _away_from_any_local_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def millrace(kafka: KafkaSettings) -> Millrace:
    scribe = Scribe(kafka)
    scribe.make(CONTROL, AUDIT)
    now_ms = time.time_ns() // 1_000_000
    for name, since_ms, until_ms in (
        ("acme", now_ms - 1_000, now_ms + 300_000),
        ("globex", now_ms - 90_000, now_ms - 60_000),
    ):
        stop = SpendStop(name=name, usd_per_minute="12.75", threshold_usd="10", since_ms=since_ms, until_ms=until_ms)
        scribe.write(CONTROL, stop.encode(), key=f"spend_stop/{name}".encode())
    return Millrace(environment_of(kafka))


def test_a_stop_is_listed_lifted_and_recorded_with_who_and_why(millrace: Millrace, kafka: KafkaSettings) -> None:
    shown = millrace("spend-stop", "list", "--json").json
    assert [(each["name"], each["state"]) for each in shown["stops"]] == [("acme", "stopped"), ("globex", "over")]

    done = millrace("spend-stop", "lift", "acme", "--reason", "a migration", "--by", "ada")
    assert done.status == 0, done.err
    assert done.out.startswith("acme may go on; its stop would have lasted until ")

    cluster = LiveCluster(kafka, {kafka.topic(topic): 1 for topic in (CONTROL, AUDIT)})
    control = read_control(cluster).view
    assert stopped(control, "acme", time.time_ns() // 1_000_000) is None
    assert (control.spend_stops["acme"].by, control.spend_stops["acme"].usd_per_minute) == ("ada", "12.75")
    with TopicReader(cluster, AUDIT) as reader:
        (record,) = reader.read(reader.spans())
    audit = Audit.decode(record.value or b"")
    assert (audit.action, audit.subject, audit.by) == ("spend_stop_lifted", "spend_stop/acme", "ada")
    assert (audit.reason, audit.detail["threshold_usd"]) == ("a migration", "10")
    assert "lifted" in millrace("spend-stop", "list").out


@pytest.mark.parametrize("tenant", ["globex", "nobody"])
def test_who_is_not_stopped_cannot_be_let_go(millrace: Millrace, tenant: str) -> None:
    done = millrace("spend-stop", "lift", tenant, "--reason", "why not")

    assert done.status == 2
    assert done.err == f"millrace: {tenant} is not stopped; see who is with: millrace spend-stop list\n"


def test_a_reason_is_needed(millrace: Millrace) -> None:
    assert "--reason is empty" in millrace("spend-stop", "lift", "acme", "--reason", " ").err

"""The verifier beside a real stack under the load: silent while all is well, and not when something was forged."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from schemas.topics import REQUESTS, RESPONSES
from scripts.chaos.load.canaries import FORBIDDEN
from scripts.cli.kafka import LiveCluster
from scripts.cli.topic_reader import TopicReader
from scripts.local.layout import Layout
from scripts.local.stack import LocalStack, Wishes
from scripts.stack.readiness import holds_within
from sinks.connection import connect
from sinks.migrate import migrate
from streams.runtime.clients import producer_config, reader_config
from streams.runtime.cluster import Cluster
from streams.settings import KafkaSettings
from tests.integration.whole_system.conftest import QUICK

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

CONFIG = Path(__file__).parents[2] / "scripts" / "chaos" / "load" / "millrace.toml"
REQUESTS_SENT = 100
WITHIN_S = 90.0


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    return Layout(tmp_path_factory.mktemp("chaos"))


@pytest.fixture(scope="module")
def stack(layout: Layout) -> Iterator[LocalStack]:
    """Of its own: what is forged here would be found by whoever looks at a shared one."""
    flaws = ("--fault", "500=0.05", "--fault", "cut=0.05")
    with LocalStack(layout, Wishes(config=CONFIG, simulator=(*QUICK, *flaws)), lambda _what: None) as running:
        yield running


def start(module: str, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"scripts.chaos.{module}", "--run-folder", str(folder), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603  # our own


def verdict_in(folder: Path) -> Mapping[str, Any]:
    try:
        return json.loads((folder / "verdict.json").read_text())
    except FileNotFoundError:
        return {"state": "watching", "sent": 0}


def has_settled(verdict: Mapping[str, Any], sent: int) -> bool:
    return verdict["state"] == "settled" and verdict["sent"] == sent


def count(file: Path) -> int:
    return len(file.read_bytes().splitlines()) if file.exists() else 0


def violated(verdict: Mapping[str, Any]) -> dict[str, list[str]]:
    return {each["name"]: each["examples"] for each in verdict["invariants"] if each["violations"]}


def looked_at_once(folder: Path) -> tuple[int, dict[str, list[str]]]:
    process = start("verify", folder, "--once", "--json")
    out, err = process.communicate(timeout=WITHIN_S)
    assert out, err
    return process.returncode, violated(json.loads(out))


def test_a_sound_run_under_load_has_no_violation(stack: LocalStack, layout: Layout) -> None:
    folder = layout.folder
    verifier = start("verify", folder)
    load = start("load", folder, "--rate", "25", "--seed", "4")
    lines = folder / "load.jsonl"
    try:
        assert holds_within(WITHIN_S, lambda: count(lines) >= REQUESTS_SENT)
        load.terminate()
        assert load.wait(WITHIN_S) == 0
        sent = count(lines)
        assert holds_within(WITHIN_S, lambda: has_settled(verdict_in(folder), sent)), verdict_in(folder)
        verifier.terminate()
        out, err = verifier.communicate(timeout=WITHIN_S)
        assert verifier.returncode == 0, out + err
    finally:
        for process in (load, verifier):
            process.kill()
            process.communicate()
    final = verdict_in(folder)
    checks = {each["name"]: each["checks"] for each in final["invariants"]}
    assert (final["state"], violated(final), final["open"]) == ("final", {}, 0)
    assert stack.simulator_url is not None
    assert checks["requests are kept"] == sent
    assert [name for name, times in checks.items() if not times and name != "unknown is not nothing"] == []
    assert not any(mark in out + err for mark in FORBIDDEN)


def test_what_is_forged_after_that_is_found(stack: LocalStack, layout: Layout) -> None:
    answered = a_response(stack)
    producer = Producer(producer_config(stack.kafka, "forger"))
    producer.produce(stack.kafka.topic(RESPONSES), answered)
    assert producer.flush(WITHIN_S) == 0
    deleted = delete_a_row(stack)

    status, found = looked_at_once(layout.folder)

    assert status == 1
    request = json.loads(answered)
    assert found["one answer"][0].startswith(f"{request['tenant_id']}/{request['request_id']} is answered at")
    assert deleted in found["one row"][0]
    assert found["commits follow outcomes"][0].startswith("sink committed")
    assert {*found} <= {"one answer", "one row", "one final row", "sum of the bill", "commits follow outcomes"}


def test_an_offset_committed_before_its_event_was_handled_is_found(stack: LocalStack, tmp_path: Path) -> None:
    kafka = KafkaSettings(
        bootstrap_servers=stack.kafka.bootstrap_servers,
        partitions=stack.kafka.partitions,
        topic_prefix="skipped.",
        group_prefix="skipped.",
    )
    Cluster(kafka).apply()
    connection = connect(stack.clickhouse)
    migrate(connection, "skipped", stack.clickhouse.retention_days)
    connection.close()
    prefixes = {"KAFKA_TOPIC_PREFIX": "skipped.", "KAFKA_GROUP_PREFIX": "skipped.", "CLICKHOUSE_DATABASE": "skipped"}
    Layout(tmp_path).write_environment(
        {**stack.environment, **{f"MILLRACE_{name}": value for name, value in prefixes.items()}}
    )
    producer = Producer(producer_config(kafka, "forger"))
    producer.produce(kafka.topic(REQUESTS), b'{"request_id":"r-1","tenant_id":"north"}', partition=2)
    assert producer.flush(WITHIN_S) == 0
    careless = Consumer({**reader_config(kafka), "group.id": kafka.group("validate")})
    careless.commit(offsets=[TopicPartition(kafka.topic(REQUESTS), 2, 1)], asynchronous=False)
    careless.close()

    status, found = looked_at_once(tmp_path)

    assert status == 1
    assert found == {
        "one answer": [found["one answer"][0]],
        "commits follow outcomes": ["validate committed 1 and skipped.requests/2/0, requested, has led to nothing"],
    }


def a_response(stack: LocalStack) -> bytes:
    cluster = LiveCluster(stack.kafka, {stack.kafka.topic(RESPONSES): stack.kafka.partitions})
    with TopicReader(cluster, RESPONSES) as reader:
        values = (record.value or b"" for record in reader.read(reader.spans()))
        return next(value for value in values if json.loads(value)["attempts"])


def delete_a_row(stack: LocalStack) -> str:
    """The dearest one of all; returns its attempt."""
    connection = connect(stack.clickhouse)
    try:
        query = "SELECT attempt_id FROM millrace.calls WHERE is_final ORDER BY cost_usd DESC NULLS LAST LIMIT 1"
        ((attempt_id,),) = connection.query(query).result_rows
        delete = (
            "ALTER TABLE millrace.call_rows DELETE WHERE attempt_id = {attempt_id:String} SETTINGS mutations_sync = 1"
        )
        connection.command(delete, {"attempt_id": attempt_id})
    finally:
        connection.close()
    return str(attempt_id)

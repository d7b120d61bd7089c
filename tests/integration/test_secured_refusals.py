"""Whatever keeps a client from its brokers is one sentence that says what to do; nothing hangs, nothing is revealed."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from schemas.topics import DISPATCH, MISSES
from scripts.cli.acls import PRINCIPAL_PREFIX, Grant, grants
from scripts.cli.fault import Stopped
from scripts.cli.start_check import running
from scripts.stack.ports import reserve_port
from streams.runtime.kafka import ConfluentClients
from streams.settings import KafkaSettings
from streams.topology import SYNCHRONOUS
from tests.integration.authority import KEY_PASSWORD
from tests.integration.millrace import Ended, Millrace
from tests.integration.orphans import REPOSITORY
from tests.integration.secured_cluster import SecuredCluster, secured_cluster
from tests.integration.worker_thread import Bench
from tests.unit.examples import miss

pytestmark = pytest.mark.integration

GIVEN = grants(KafkaSettings(), PRINCIPAL_PREFIX)
ROUTE = "millrace-route"
SERVERS = "MILLRACE_KAFKA_BOOTSTRAP_SERVERS"
AUTHORITY = "MILLRACE_KAFKA_SSL_CA_FILE"
MECHANISM = "MILLRACE_KAFKA_SASL_MECHANISM"
PASSWORD = "MILLRACE_KAFKA_SASL_PASSWORD"
PROTOCOL = "MILLRACE_KAFKA_SECURITY_PROTOCOL"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredCluster]:
    with secured_cluster(tmp_path_factory.mktemp("secured")) as cluster:
        made = Millrace(cluster.environment("millrace-operator"))("topics", "apply")
        assert made.status == 0, made.err
        yield cluster


def grant(user: str, name: str) -> Grant:
    (found,) = (each for each in GIVEN if (each.principal, each.name) == (f"User:{user}", name))
    return found


def one_sentence(ended: Ended, status: int = 2) -> str:
    assert (ended.status, ended.out) == (status, "")
    assert ended.err.startswith("millrace: ")
    assert "Traceback" not in ended.err
    assert "canary" not in ended.err
    return ended.err.removeprefix("millrace: ").strip()


def changed(cluster: SecuredCluster, **variables: str) -> dict[str, str]:
    """The environment of a user, with one thing wrong. A value may be the name of a listener."""
    places = {**cluster.bootstrap, "INSIDE": cluster.inside, "STRANGER": str(cluster.authority.strangers_file)}
    return {**cluster.environment(ROUTE), **{name: places.get(value, value) for name, value in variables.items()}}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({PASSWORD: "canary-wrong"}, f"the brokers refuse user '{ROUTE}' with this password (SCRAM-SHA-512); check "),
        (
            {PASSWORD: "canary-wrong", MECHANISM: "PLAIN"},
            f"user '{ROUTE}' with this password (PLAIN)",
        ),
        ({MECHANISM: "SCRAM-SHA-256"}, f"set {MECHANISM} to one they take: SCRAM-SHA-512,PLAIN"),
        ({AUTHORITY: "STRANGER"}, f"signed by an authority that is not trusted here; set {AUTHORITY}"),
        ({AUTHORITY: ""}, f"signed by an authority that is not trusted here; set {AUTHORITY}"),
        ({SERVERS: "EXPIRED"}, "its certificate has expired"),
        ({SERVERS: "ELSEWHERE"}, "its certificate is not made for the name it is called by"),
    ],
    ids=["password", "plain password", "mechanism", "authority", "system's authority", "expired", "other host"],
)
def test_a_refusal_is_told_at_once_with_its_way_out(cluster: SecuredCluster, wrong: dict[str, str], told: str) -> None:
    environment = changed(cluster, **wrong)

    sentence = one_sentence(Millrace(environment)("stage", "route"))

    assert sentence.startswith(f"Kafka at {environment[SERVERS]}: ")
    assert told in sentence


def test_the_doctor_tells_a_refusal_beside_everything_else(cluster: SecuredCluster) -> None:
    refused = Millrace(changed(cluster, **{PASSWORD: "canary-wrong"}))
    with reserve_port() as nobody:
        found = refused("doctor", "--json", MILLRACE_CLICKHOUSE_PORT=str(nobody.port))
    assert found.status == 1
    kafka, clickhouse = found.json
    assert "the brokers refuse user" in kafka["todo"]
    assert clickhouse["name"] == "ClickHouse"
    assert "canary" not in found.out


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({PROTOCOL: "PLAINTEXT"}, f"it speaks TLS on this port; set {PROTOCOL}"),
        ({SERVERS: "INSIDE"}, "it does not speak TLS on this port"),
        (
            {SERVERS: "MUTUAL", PROTOCOL: "SSL"},
            "it wants a certificate of ours that it trusts; give one with MILLRACE_KAFKA_SSL_CERTIFICATE_FILE",
        ),
    ],
    ids=["TLS unexpected", "TLS missing", "our certificate missing"],
)
def test_what_may_pass_is_waited_for_and_then_told(
    cluster: SecuredCluster, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str], told: str
) -> None:
    monkeypatch.setattr("scripts.cli.kafka.REACH_WITHIN_S", 1.0)
    assert told in one_sentence(Millrace(changed(cluster, **wrong))("topics", "show"))


@pytest.mark.parametrize(
    ("variable", "content", "told"),
    [
        ("MILLRACE_KAFKA_SSL_CA_FILE", None, "MILLRACE_KAFKA_SSL_CA_FILE: Path does not point to a file"),
        ("MILLRACE_KAFKA_SSL_CA_FILE", "none", "MILLRACE_KAFKA_SSL_CA_FILE: "),
        ("MILLRACE_KAFKA_SSL_KEY_FILE", "none", "MILLRACE_KAFKA_SSL_KEY_PASSWORD do not belong together"),
        ("MILLRACE_KAFKA_SSL_KEY_FILE", "", "ssl_certificate_file and ssl_key_file belong together"),
    ],
    ids=["no file", "no certificate", "no key in it", "no key"],
)
def test_files_that_cannot_be_used_are_told_before_anybody_is_called(
    cluster: SecuredCluster, tmp_path: Path, variable: str, content: str | None, told: str
) -> None:
    file = tmp_path / "file.pem"
    if content is not None:
        file.write_text(content)
    environment = {**cluster.environment(ROUTE, "certificate"), variable: "" if content == "" else str(file)}
    assert told in one_sentence(Millrace(environment)("topics", "show"))


def test_a_key_that_its_password_does_not_open_is_told_without_a_prompt(cluster: SecuredCluster) -> None:
    for password in ("canary-wrong", ""):
        environment = {**cluster.environment(ROUTE, "certificate"), "MILLRACE_KAFKA_SSL_KEY_PASSWORD": password}
        assert password != KEY_PASSWORD
        assert "do not belong together" in one_sentence(Millrace(environment)("topics", "show"))


def test_a_user_without_its_password_is_told_so_before_anybody_is_called(cluster: SecuredCluster) -> None:
    environment = changed(cluster, **{PASSWORD: ""})
    assert "needs sasl_username and sasl_password" in one_sentence(Millrace(environment)("topics", "show"))


@pytest.mark.parametrize(
    ("lacks", "told"),
    [
        # of a topic that it may neither read nor write, brokers do not even say that it is there
        (Grant(f"User:{ROUTE}", ("Read",), "topic", "llm.misses"), "Read, DescribeConfigs on topic llm.misses"),
        (Grant(f"User:{ROUTE}", ("Write",), "topic", "llm.dlq"), "Write, DescribeConfigs on topic llm.dlq"),
        (Grant(f"User:{ROUTE}", ("DescribeConfigs",), "topic", "llm.dlq"), "DescribeConfigs on topic llm.dlq"),
        (Grant(f"User:{ROUTE}", ("Read",), "group", "millrace.route"), "Read on group millrace.route"),
        (Grant(f"User:{ROUTE}", ("Describe",), "group", "millrace.reader"), "Describe on group millrace.reader"),
    ],
    ids=["read", "write", "describe configs", "own group", "readers' group"],
)
def test_every_right_that_is_missing_is_named_before_the_start(
    cluster: SecuredCluster, lacks: Grant, told: str
) -> None:
    cluster.take_away(lacks)
    try:
        sentence = one_sentence(Millrace(cluster.environment(ROUTE))("stage", "route"))
    finally:
        cluster.allow([lacks])
    first, *listed, way_out = sentence.splitlines()
    assert first == "not started, because the user of route lacks rights:"
    assert [line.strip() for line in listed] == [told]
    assert "millrace topics acls" in way_out


@pytest.mark.parametrize("name", ["millrace.route", "millrace.reader", DISPATCH["normal"].name])
def test_a_right_that_is_taken_away_later_ends_the_worker_with_a_sentence(cluster: SecuredCluster, name: str) -> None:
    """Before the worker joins its group, or when it writes. None of them may leave it waiting for ever."""
    ours = KafkaSettings.model_validate(
        {
            key.removeprefix("MILLRACE_KAFKA_").lower(): value
            for key, value in cluster.environment(ROUTE).items()
            if key.startswith("MILLRACE_KAFKA_")
        }
    )
    inside = KafkaSettings(bootstrap_servers=cluster.inside, partitions=2)
    taken = grant(ROUTE, name if name.startswith("millrace.") else inside.topic(DISPATCH["normal"]))
    with Bench(inside) as bench:
        bench.write_configuration()
        bench.log.write(MISSES, miss(), key="r-1")
        bench.log.flush()
        cluster.take_away(taken)
        try:
            bench.kafka = ours
            ended = bench.start(SYNCHRONOUS["route"], clients=ConfluentClients(ours)).ended()
        finally:
            cluster.allow([taken])
    assert isinstance(ended, Exception)
    with (
        pytest.raises(Stopped, match="this user lacks a right: compare what it may do with `millrace topics acls`"),
        running(),
    ):
        raise ended


def test_watch_says_which_topic_it_may_not_make(cluster: SecuredCluster, tmp_path: Path) -> None:
    """Faust makes topics of its own, which only a user who may make topics with this beginning can."""
    own = grant("millrace-watch", "millrace.watch-")
    cluster.take_away(own)
    try:
        ended = in_a_process(
            "watch", {**cluster.environment("millrace-watch"), "MILLRACE_WATCH_DATA_DIR": str(tmp_path)}
        )
    finally:
        cluster.allow([own])
    last = ended.err.splitlines()[-1]
    assert ended.status == 1
    assert last.startswith("millrace: stopped: Kafka: ")
    assert "millrace.watch-" in last
    assert "this user lacks a right" in last
    assert "Traceback" not in ended.err
    assert "canary" not in ended.err


def in_a_process(command: str, environment: Mapping[str, str]) -> Ended:
    done = subprocess.run(  # noqa: S603  (this interpreter, and a module of this project)
        [sys.executable, "-m", "scripts.cli", command],
        cwd=REPOSITORY,
        env={"PATH": os.defpath, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)

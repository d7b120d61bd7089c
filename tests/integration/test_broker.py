"""The embedded Kafka is a real one: it keeps what it acknowledged, survives the loss of a broker and leaves nothing."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from scripts.stack.broker import Cluster, start_cluster
from scripts.stack.errors import StackError, StartError
from scripts.stack.readiness import holds_within
from scripts.stack.settings import StackSettings
from tests.integration.orphans import REPOSITORY, first_line, is_gone, start_parent

pytestmark = pytest.mark.integration

# Brokers die in these tests: what a client says about it on standard error is no news.
QUIET = {"log_level": "0"}


def create_topic(bootstrap: str, name: str, *, replicas: int = 1) -> None:
    # The client's stubs leave the type of the future's result open.
    admin = cast("Any", AdminClient({"bootstrap.servers": bootstrap, **QUIET}))
    created = admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=replicas)])
    created[name].result(20)


def produce(bootstrap: str, topic: str, *values: str) -> int:
    """Produce with acks from all replicas; the number of values not acknowledged within 30 s."""
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "delivery.timeout.ms": 30_000, **QUIET})
    failed: list[object] = []
    for value in values:
        producer.produce(topic, value, on_delivery=lambda error, _: failed.append(error) if error else None)
    return producer.flush(30) + len(failed)


def consume(bootstrap: str, topic: str, count: int, *, group: str | None = None) -> list[str]:
    """The first `count` values of a topic, fewer if they do not come within 20 s; as a member of a group if asked."""
    settings = {"bootstrap.servers": bootstrap, "auto.offset.reset": "earliest", "enable.auto.commit": "false"}
    consumer = Consumer({**settings, "group.id": group or "none", **QUIET})
    try:
        if group is None:
            # A first group makes the broker create its offsets topic, which costs a client seconds of retries.
            consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        else:
            consumer.subscribe([topic])
        messages = consumer.consume(count, timeout=20)
        return [(message.value() or b"").decode() for message in messages if message.error() is None]
    finally:
        consumer.close()


def answers_clients(bootstrap: str) -> bool:
    try:
        AdminClient({"bootstrap.servers": bootstrap, **QUIET}).list_topics(timeout=1)
    except KafkaException:
        return False
    return True


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with start_cluster(tmp_path_factory.mktemp("kafka")) as cluster:
        yield cluster


def test_topics_and_data_are_kept_from_one_start_to_the_next(tmp_path: Path) -> None:
    directory = tmp_path / "a, cluster in ünusual places"
    with start_cluster(directory) as first:
        create_topic(first.bootstrap_servers, "kept")
        assert produce(first.bootstrap_servers, "kept", "one", "two") == 0

    with start_cluster(directory) as second:
        assert second.bootstrap_servers == first.bootstrap_servers
        assert consume(second.bootstrap_servers, "kept", 2) == ["one", "two"]


def test_a_killed_broker_comes_back_at_its_address_with_what_it_had_acknowledged(cluster: Cluster) -> None:
    broker = cluster.brokers[0]
    create_topic(cluster.bootstrap_servers, "survives")
    assert produce(cluster.bootstrap_servers, "survives", "acknowledged") == 0

    broker.kill()
    assert not broker.running
    broker.start()

    assert broker.address == cluster.bootstrap_servers
    assert consume(cluster.bootstrap_servers, "survives", 1) == ["acknowledged"]


def test_the_port_of_a_stopped_broker_is_taken_by_nobody(cluster: Cluster) -> None:
    host, _, port = cluster.bootstrap_servers.partition(":")
    cluster.brokers[0].stop()
    try:
        with socket.socket() as thief, pytest.raises(OSError, match="in use"):
            thief.bind((host, int(port)))
    finally:
        cluster.brokers[0].start()


def test_a_paused_broker_is_silent_until_it_is_resumed(cluster: Cluster) -> None:
    cluster.brokers[0].pause()
    try:
        assert not answers_clients(cluster.bootstrap_servers)
        assert cluster.brokers[0].running
    finally:
        cluster.brokers[0].resume()
    assert holds_within(20, lambda: answers_clients(cluster.bootstrap_servers))


def test_a_topic_nobody_created_does_not_come_into_being(cluster: Cluster) -> None:
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers, **QUIET})

    assert admin.list_topics("typo", timeout=5).topics["typo"].error is not None
    assert "typo" not in admin.list_topics(timeout=5).topics


def test_kafkas_own_console_producer_runs_on_the_same_jars(cluster: Cluster) -> None:
    create_topic(cluster.bootstrap_servers, "typed")

    tool = [sys.executable, "-m", "scripts.stack.kafka_tool", "kafka-console-producer"]
    produced = subprocess.run(  # noqa: S603 - every argument is the test's own
        [*tool, "--bootstrap-server", cluster.bootstrap_servers, "--topic", "typed"],
        cwd=REPOSITORY,
        input="from the console\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (produced.returncode, produced.stderr) == (0, "")
    assert consume(cluster.bootstrap_servers, "typed", 1, group="readers") == ["from the console"]


def test_a_directory_in_use_is_refused(cluster: Cluster) -> None:
    assert cluster.brokers[0].running
    with pytest.raises(StackError, match="in use by a running cluster"):
        start_cluster(cluster.brokers[0].log.parent.parent)


def test_a_broker_that_does_not_come_up_is_explained_by_its_log(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"(?s)broker 0 ended with exit status 1.*num\.io\.threads"):
        start_cluster(tmp_path, properties={"num.io.threads": "none"})


def test_of_three_brokers_one_may_be_lost_and_come_back(tmp_path: Path) -> None:
    with start_cluster(tmp_path, brokers=3) as cluster:
        create_topic(cluster.bootstrap_servers, "replicated", replicas=3)
        assert produce(cluster.bootstrap_servers, "replicated", "before") == 0

        cluster.brokers[0].kill()
        assert produce(cluster.bootstrap_servers, "replicated", "during") == 0
        cluster.brokers[0].start()

        assert consume(cluster.brokers[0].address, "replicated", 2) == ["before", "during"]
        for broker in cluster.brokers:
            broker.kill()  # an orderly end of three takes 5 s and is of no interest here


PARENT = """
import sys
from pathlib import Path
from scripts.stack.broker import start_cluster
with start_cluster(Path(sys.argv[1])) as cluster:
    print(cluster.brokers[0].pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a child with its parent")
def test_a_broker_needs_no_home_and_no_path_and_dies_with_its_killed_parent(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    env = {"HOME": str(tmp_path / "home"), "PATH": "", "XDG_CACHE_HOME": str(StackSettings().cache.parent)}
    with start_parent(PARENT, str(tmp_path / "kafka"), env=env) as parent:
        pid = int(first_line(parent))
        assert not is_gone(pid)
        parent.kill()

    assert holds_within(10, lambda: is_gone(pid))
    assert list((tmp_path / "home").iterdir()) == []

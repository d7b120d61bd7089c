"""That the load drops nothing: it waits through an outage, and sends again what its client has given up on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from schemas.topics import REQUESTS
from scripts.chaos.load.publisher import Publisher
from scripts.chaos.load.sending import Sending
from scripts.cli.kafka import LiveCluster
from scripts.cli.topic_reader import TopicReader
from scripts.stack.broker import Cluster as Brokers
from scripts.stack.broker import start_cluster
from streams.runtime.cluster import Cluster
from streams.settings import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

LINE = TypeAdapter(dict[str, object])


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[Brokers]:
    with start_cluster(tmp_path / "kafka") as running:
        yield running


def sending(number: int) -> Sending:
    return Sending("plain", "north", f"north-{number}", b"north", b"%d" % number, None)


def test_what_is_sent_in_an_outage_arrives_after_it_though_the_client_gave_up(brokers: Brokers, tmp_path: Path) -> None:
    kafka = KafkaSettings(bootstrap_servers=brokers.bootstrap_servers, partitions=2)
    topics = Cluster(kafka)
    topics.apply()
    file = tmp_path / "load.jsonl"
    with Publisher(kafka, file, lambda: 7) as publisher:
        publisher.send(sending(0))
        publisher.flush()
        brokers.brokers[0].kill()
        for number in range(1, 6):
            publisher.send(sending(number))
        publisher.wait(0)
        assert publisher.open == 5
        publisher.start_over()  # as after an error that the client cannot recover from
        assert publisher.open == 5
        brokers.brokers[0].start()
        publisher.flush()

    lines = [LINE.validate_json(line) for line in file.read_bytes().splitlines()]
    assert [line["request_id"] for line in lines] == [f"north-{number}" for number in range(6)]
    with TopicReader(LiveCluster(kafka, topics.existing()), REQUESTS) as reader:
        found = {(each.partition, each.offset): each.value for each in reader.read(reader.spans())}
    assert [found[line["partition"], line["offset"]] for line in lines] == [b"%d" % number for number in range(6)]  # pyright: ignore[reportArgumentType]  # numbers

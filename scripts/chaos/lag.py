"""How many records every consumer group has not yet committed, asked again and again while brokers come and go."""

from concurrent.futures import Future
from typing import cast

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo, OffsetSpec

from schemas.participants import PARTS, TRAFFIC
from scripts.chaos.copies import QUIET
from streams.runtime.clients import reader_config
from streams.settings import KafkaSettings

_WITHIN_S = 5.0


class Lag:
    """Asked by one thread at a time; `close` it in the end."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._places = {
            part: [
                TopicPartition(kafka.topic(each.topic), partition)
                for each in TRAFFIC
                if part in each.readers
                for partition in range(1 if each.topic.partitions == 1 else kafka.partitions)
            ]
            for part in PARTS
        }
        # Consumers that never join. An admin client could ask too, but librdkafka crashes when a coordinator that
        # has just come up tells it to wait.
        self._groups = {
            part: Consumer({**reader_config(kafka), **QUIET, "group.id": kafka.group(part)}) for part in PARTS
        }

    def now(self) -> dict[str, int] | str:
        """By part; or why the brokers cannot tell within some seconds."""
        try:
            ends = self._ends()
        except (KafkaException, TimeoutError) as error:
            return str(error)
        found: dict[str, int] = {}
        why = ""
        for part, consumer in self._groups.items():
            try:
                found[part] = self._of(consumer, self._places[part], ends)
            except KafkaException as error:
                why = str(error)  # all are asked: each learns by its own refusal that its coordinator has moved
        return why or found

    def close(self) -> None:
        for consumer in self._groups.values():
            consumer.close()

    def _ends(self) -> dict[tuple[str, int], int]:
        # A new one each time: a client remembers that a partition had no leader.
        admin = AdminClient({"bootstrap.servers": self._kafka.bootstrap_servers, **QUIET})
        latest = cast("OffsetSpec", OffsetSpec.latest())
        asked = {place: latest for places in self._places.values() for place in places}
        futures = cast(
            "dict[TopicPartition, Future[ListOffsetsResultInfo]]", admin.list_offsets(asked, request_timeout=_WITHIN_S)
        )
        return {(at.topic, at.partition): future.result(_WITHIN_S).offset for at, future in futures.items()}

    @staticmethod
    def _of(consumer: Consumer, places: list[TopicPartition], ends: dict[tuple[str, int], int]) -> int:
        committed = consumer.committed(places, _WITHIN_S)
        # The ends were asked for first, and may be behind what is committed by now.
        return sum(max(ends[at.topic, at.partition] - max(at.offset, 0), 0) for at in committed)

"""What the brokers say beside the records: how far topics reach, and what each group has committed."""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo, OffsetSpec

from schemas.participants import PARTS, TRAFFIC, Part
from scripts.chaos.verify.snapshot import GroupPartition
from streams.runtime.clients import admin_config, reader_config
from streams.settings import KafkaSettings

ASK_S = 5.0


@dataclass(frozen=True, slots=True)
class Committed:
    """Next offsets to be read, of the groups that told. `is_complete`: all did."""

    offsets: Mapping[GroupPartition, int]
    is_complete: bool


class Cluster:
    def __init__(self, kafka: KafkaSettings, counts: Mapping[str, int]) -> None:
        self._places = [TopicPartition(topic, p) for topic, count in counts.items() for p in range(count)]
        self._config = admin_config(kafka)
        self._client = AdminClient(self._config)
        # consumers that never join: the admin client crashes the process when a coordinator that has just come up
        # tells it to wait
        self._members = {part: Consumer({**reader_config(kafka), "group.id": kafka.group(part)}) for part in PARTS}
        self._read = {part: _read_by(part, kafka, counts) for part in PARTS}
        self._threads = ThreadPoolExecutor(len(PARTS))
        self._had: set[GroupPartition] = set()

    def ends(self) -> dict[tuple[str, int], int]:
        """Raises KafkaException when the brokers cannot tell of every partition."""
        latest = cast("OffsetSpec", OffsetSpec.latest())
        futures = cast(
            "dict[TopicPartition, Future[ListOffsetsResultInfo]]",
            self._client.list_offsets(dict.fromkeys(self._places, latest), request_timeout=ASK_S),
        )
        try:
            return {(each.topic, each.partition): future.result(ASK_S + 5).offset for each, future in futures.items()}
        except KafkaException:
            # it remembers who led a partition, and would be told for ever that this was long ago
            self._client = AdminClient(self._config)
            raise

    def committed(self) -> Committed:
        """A group whose coordinator is away is left out, as is what was never committed."""
        asked = {part: self._threads.submit(self._members[part].committed, self._read[part], ASK_S) for part in PARTS}
        found: dict[GroupPartition, int] = {}
        is_complete = True
        for part, future in asked.items():
            try:
                offsets = future.result()
            except KafkaException:
                is_complete = False
                continue
            is_complete = is_complete and all(each.error is None for each in offsets)
            found.update(known(part, offsets, self._had))
        self._had |= found.keys()
        return Committed(found, is_complete)

    def close(self) -> None:
        self._threads.shutdown()
        for member in self._members.values():
            member.close()


def known(
    part: str, offsets: Iterable[TopicPartition], had: AbstractSet[GroupPartition]
) -> Iterator[tuple[GroupPartition, int]]:
    """What was committed, and by the negative offset it is given what was committed once and is no more."""
    for each in offsets:
        where: GroupPartition = (part, each.topic, each.partition)
        if each.error is None and (each.offset >= 0 or where in had):
            yield where, each.offset


def _read_by(part: Part, kafka: KafkaSettings, counts: Mapping[str, int]) -> list[TopicPartition]:
    topics = [kafka.topic(each.topic) for each in TRAFFIC if part in each.readers]
    return [TopicPartition(topic, partition) for topic in topics for partition in range(counts[topic])]

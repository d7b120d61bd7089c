"""A consumer outside any group, which reads the partitions it is told to."""

from confluent_kafka import OFFSET_END, KafkaError, KafkaException, Message, TopicPartition

from tests.fakes.kafka.fetch import Fetcher, where_of
from tests.fakes.kafka.host import Host


class Untold(TopicPartition):
    """What comes back for a partition whose leader could not say: an error, and an offset that means the end."""

    error = KafkaError(KafkaError.OFFSET_NOT_AVAILABLE)


class FakeReader:
    def __init__(self, host: Host) -> None:
        self._host = host
        self._fetcher = Fetcher(host, tell_ends=True)

    def assign(self, partitions: list[TopicPartition], /) -> None:
        self._host.call("assign by hand")
        self._fetcher.start({where_of(each): self._start(each) for each in partitions})

    def _start(self, position: TopicPartition) -> int:
        log = self._host.cluster.log(where_of(position))
        match position.offset:
            case offset if offset >= 0:
                return offset
            case offset if offset == OFFSET_END:
                return log.end
            case _:
                return log.start

    def unassign(self) -> None:
        self._host.call("unassign")
        self._fetcher.start({})

    def poll(self, timeout: float = -1, /) -> Message | None:
        messages = self._read("poll by hand", 1, timeout)
        return messages[0] if messages else None

    def consume(self, num_messages: int = 1, timeout: float = -1, /) -> list[Message]:
        return self._read("consume by hand", num_messages, timeout)

    def _read(self, call: str, most: int, timeout_s: float) -> list[Message]:
        self._host.call(call)
        messages: list[Message] = []

        def enough() -> bool:
            while len(messages) < most and (message := self._fetcher.take()) is not None:
                messages.append(message)
            return len(messages) == most

        self._host.wait(enough, timeout_s)
        return messages

    def list_topics(self, topic: str, timeout: float, /) -> object:
        self._host.ask("list topics", timeout)
        return {topic: self._host.cluster.partitions(topic)}

    def offsets_for_times(self, partitions: list[TopicPartition], timeout: float, /) -> list[TopicPartition]:
        self._host.ask("offsets for times", timeout)
        found: list[TopicPartition] = []
        for asked in partitions:
            offset = self._host.cluster.log(where_of(asked)).first_since(asked.offset)
            if self._host.conditions.happens("end unknown"):
                found.append(Untold(asked.topic, asked.partition, OFFSET_END))
            else:
                found.append(TopicPartition(asked.topic, asked.partition, OFFSET_END if offset is None else offset))
        return found

    def get_watermark_offsets(self, partition: TopicPartition, timeout: float = -1) -> tuple[int, int]:
        self._host.ask("watermarks", timeout)
        if self._host.conditions.happens("end unknown"):
            raise KafkaException(KafkaError(KafkaError.OFFSET_NOT_AVAILABLE))
        log = self._host.cluster.log(where_of(partition))
        return log.start, log.end

    def close(self) -> None:
        self._host.call("close reader")
        self._fetcher.start({})

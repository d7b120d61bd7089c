"""What predecessors left is read back as far as it may matter, and no further."""

from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import TopicPartition
from typing_extensions import override

from schemas.base import Event
from schemas.flow import HandedOver
from schemas.topics import COMPLETIONS, HANDOVERS
from streams.invoke.relearn import SKEW_MS, relearn
from streams.runtime.delivery import Delivery
from streams.runtime.restore import TableReader
from streams.settings import KafkaSettings
from tests.unit.examples import NOW_MS, completion

KAFKA = KafkaSettings()
STARTS = (TopicPartition("llm.dispatch.normal", 0, 5), TopicPartition("llm.dispatch.normal", 1, 7))
HANDED = HandedOver(identity="acme/r-2", worker="other", until_ms=NOW_MS)
WINDOW_MS = 3_600_000


class Shelf(TableReader):
    """Gives what it was told to, and remembers from when on it was asked for it."""

    def __init__(self, oldest_ms: Mapping[int, int], **records: Sequence[Event | bytes]) -> None:
        self._oldest_ms = oldest_ms
        self._records = records
        self.asked: dict[str, Mapping[int, int | None]] = {}

    @override
    def oldest_unfinished_ms(self, starts: Sequence[TopicPartition]) -> dict[int, int]:
        return dict(self._oldest_ms)

    @override
    def read(self, topic: str, since_ms: Mapping[int, int | None], apply: Callable[[Delivery], None]) -> dict[int, int]:
        self.asked[topic] = since_ms
        for offset, record in enumerate(self._records.get(topic.removeprefix("llm."), ())):
            value = record.encode() if isinstance(record, Event) else record
            apply(Delivery(topic, 0, offset, None, value, (), NOW_MS))
        return dict.fromkeys(since_ms, 9)


def test_completions_of_the_window_and_handovers_of_what_is_still_to_be_taken_are_read() -> None:
    shelf = Shelf({1: NOW_MS - 100}, completions=[completion(), b"?"], handovers=[HANDED, b"?"])

    learned = relearn(shelf, KAFKA, STARTS, NOW_MS, WINDOW_MS)

    assert shelf.asked == {
        KAFKA.topic(COMPLETIONS): {0: NOW_MS - WINDOW_MS, 1: NOW_MS - 100 - WINDOW_MS},
        KAFKA.topic(HANDOVERS): {1: NOW_MS - 100 - SKEW_MS},
    }
    assert learned.completed == (completion().ticket.identity,)
    assert learned.handed_over == (HANDED,)
    assert {(end.topic, end.partition, end.offset) for end in learned.ends} == {
        ("llm.completions", 0, 9),
        ("llm.completions", 1, 9),
        ("llm.handovers", 1, 9),
    }


def test_where_nothing_is_still_to_be_taken_no_handover_is_read() -> None:
    shelf = Shelf({}, handovers=[HANDED])

    learned = relearn(shelf, KAFKA, STARTS, NOW_MS, WINDOW_MS)

    assert list(shelf.asked) == [KAFKA.topic(COMPLETIONS)]
    assert learned.handed_over == ()


def test_with_no_partition_nothing_is_read() -> None:
    shelf = Shelf({})
    assert relearn(shelf, KAFKA, (), NOW_MS, WINDOW_MS).ends == ()
    assert shelf.asked == {}

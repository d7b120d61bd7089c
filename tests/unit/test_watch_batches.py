"""Hundreds of records are one event of Faust's, and those that trickle in are waited for a little."""

from dataclasses import dataclass
from typing import Any

from faust.types.tuples import TP
from hypothesis import given
from hypothesis import strategies as st

from streams.runtime.delivery import Delivery
from streams.watch.batches import BACKLOG, GATHER_S, LARGEST_BATCH, BatchMessage, Handed, Rhythm, cut

HERE = TP("llm.calls", 3)


@dataclass
class Record:
    """As aiokafka has it."""

    offset: int
    value: bytes | None = b"{}"
    topic: str = HERE.topic
    partition: int = HERE.partition
    timestamp: int = 1_795_000_000_123
    timestamp_type: int = 0
    key: bytes | None = b"acme"
    headers: tuple[tuple[str, bytes], ...] = (("a", b"1"),)


def test_a_delivery_says_where_and_when_the_record_was() -> None:
    message = BatchMessage(HERE, [Record(5, b"5"), Record(9, None)], generation_id=2)

    assert message.deliveries == (
        Delivery("llm.calls", 3, 5, b"acme", b"5", (("a", b"1"),), 1_795_000_000_123),
        Delivery("llm.calls", 3, 9, b"acme", None, (("a", b"1"),), 1_795_000_000_123),
    )
    assert (message.tp, message.offset, message.generation_id) == (HERE, 9, 2)
    assert (message.key, message.value) == (None, b"")


@given(st.integers(0, 3 * LARGEST_BATCH + 1))
def test_batches_are_bounded_and_leave_nothing_out(count: int) -> None:
    batches = cut(range(count))

    assert [each for batch in batches for each in batch] == list(range(count))
    assert all(0 < len(batch) <= LARGEST_BATCH for batch in batches)


def test_after_a_few_records_there_is_a_pause_and_none_after_none_or_many() -> None:
    rhythm = Rhythm()
    assert rhythm.pause_s(0) == 0

    rhythm.found(3, now_s=0)
    assert rhythm.pause_s(0) == GATHER_S
    assert rhythm.pause_s(GATHER_S) == 0

    rhythm.found(3, now_s=0)
    rhythm.found(BACKLOG, now_s=0)
    assert rhythm.pause_s(0) == 0
    rhythm.found(0, now_s=0)
    assert rhythm.pause_s(0) == 0


@dataclass
class Message:
    offset: int
    acked: bool = False


@given(st.lists(st.integers(1, 5), min_size=1, max_size=30), st.data())
def test_whatever_is_finished_in_whatever_order_no_offset_goes_past_what_is_not(sizes: list[int], data: Any) -> None:
    handed, messages, next_offset = Handed(), list[Message](), 0
    for size in sizes:
        next_offset += size
        messages.append(Message(next_offset - 1))
        handed.give(HERE, messages[-1])
    committed = 0
    for message in data.draw(st.permutations(messages)):
        message.acked = True
        committed = handed.finished(HERE) or committed
        unfinished = [each.offset for each in messages if not each.acked]
        finished_up_to = next((n for n, each in enumerate(messages) if not each.acked), len(messages))
        assert committed <= min(unfinished, default=next_offset)
        assert committed == (messages[finished_up_to - 1].offset + 1 if finished_up_to else 0)


def test_partitions_are_apart() -> None:
    handed, there = Handed(), TP("llm.calls", 4)
    handed.give(HERE, Message(7))
    handed.give(there, Message(9, acked=True))

    assert handed.finished(HERE) is None
    assert handed.finished(there) == 10

"""A flood in one partition stands before nothing of the others."""

from collections import Counter, defaultdict

from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st

from streams.runtime.fair_queue import MOST_BYTES, MOST_RECORDS, FairQueue


def record(partition: int, offset: int, topic: str = "calls", value: bytes = b"{}") -> Message:
    return Message(topic=topic, partition=partition, offset=offset, value=value)


def flood(partition: int, count: int, topic: str = "calls") -> list[Message]:
    return [record(partition, offset, topic) for offset in range(count)]


def counted(taken: list[Message]) -> Counter[int | None]:
    return Counter(message.partition() for message in taken)


def test_what_comes_behind_a_flood_in_another_partition_is_in_the_next_batch() -> None:
    queue = FairQueue()
    queue.add([*flood(0, 10_000), record(1, 7)])

    assert counted(queue.take(500)) == {0: 499, 1: 1}
    assert len(queue) == 9_501


def test_with_more_partitions_than_a_batch_has_room_for_each_has_its_turn() -> None:
    queue = FairQueue()
    for partition in range(5):
        queue.add(flood(partition, 10))

    batches = [counted(queue.take(2)) for _ in range(5)]

    assert sum(batches, Counter[int | None]()) == dict.fromkeys(range(5), 2)


def test_topics_that_are_left_out_stay_where_they_are() -> None:
    queue = FairQueue()
    queue.add([record(0, 1), record(0, 2, "table"), record(0, 3)])

    (told,) = queue.take(10, {"calls"})

    assert (told.topic(), told.offset()) == ("table", 2)
    assert [message.offset() for message in queue.take(10)] == [1, 3]


def test_it_has_room_up_to_a_number_of_records_and_of_bytes() -> None:
    many, large = FairQueue(), FairQueue()
    many.add(flood(0, MOST_RECORDS - 1))
    large.add([record(0, 1, value=bytes(MOST_BYTES))])
    assert (many.has_room, large.has_room) == (True, False)

    many.add([record(1, 0)])
    large.take(1)
    assert (many.has_room, large.has_room) == (False, True)

    many.clear()
    assert (len(many), many.has_room, many.take(10)) == (0, True, [])


@given(
    added=st.lists(st.lists(st.tuples(st.sampled_from(["calls", "table"]), st.integers(0, 4)), max_size=30)),
    most=st.integers(1, 7),
    leaves_out=st.booleans(),
)
def test_nothing_is_lost_or_overtakes_in_its_partition_and_no_batch_is_larger_or_smaller_than_it_can_be(
    added: list[list[tuple[str, int]]], most: int, leaves_out: bool
) -> None:
    queue = FairQueue()
    due: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    number = 0
    for batch in added:
        for topic, partition in batch:
            due[topic, partition].append(number)
            queue.add([record(partition, number, topic)])
            number += 1
        but_of = {"calls"} if leaves_out else set[str]()
        waiting = {where: len(each) for where, each in due.items() if where[0] not in but_of and each}
        taken = queue.take(most, but_of)
        assert len(taken) == min(most, sum(waiting.values()))
        got = Counter((message.topic(), message.partition()) for message in taken)
        if len(taken) == most and waiting:
            fair = most // len(waiting)
            assert all(got[where] >= min(fair, count) for where, count in waiting.items())
        for message in taken:
            assert due[message.topic() or "", message.partition() or 0].pop(0) == message.offset()
    rest = queue.take(number + 1)
    assert len(rest) == sum(map(len, due.values()))
    assert len(queue) == 0

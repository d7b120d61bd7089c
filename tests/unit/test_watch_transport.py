"""Faust's consumer, corrected: what it is told before it knows is not taken for knowledge."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import faust
import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import KafkaConnectionError, KafkaError
from faust.types.tuples import TP
from mode import Service
from typing_extensions import override

from streams.watch.batches import LARGEST_BATCH, BatchMessage
from streams.watch.deliveries import Deliveries
from streams.watch.transport import Consumer, ConsumerThread, Transport, told_of


@dataclass
class Record:
    """As aiokafka has it."""

    offset: int
    topic: str = "llm.calls"
    partition: int = 0
    timestamp: int = 1_795_000_000_123
    timestamp_type: int = 0
    key: bytes = b"acme"
    value: bytes = b"{}"
    headers: tuple[tuple[str, bytes], ...] = ()


def records(start: int, end: int) -> list[Record]:
    return [Record(offset) for offset in range(start, end)]


KNOWN, UNTOUCHED, CHANGELOG = TP("llm.calls", 0), TP("llm.calls", 1), TP("watch-health-changelog", 0)


async def nothing(*_: object) -> None:
    pass


class Thread(Service):
    """Faust's, with the client in it: says what is committed when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.partitions = 0
        self.rewound: tuple[TP, ...] = ()
        self.knows_what_is_committed = asyncio.Event()
        self.fetched: dict[TP, list[Record]] = {}

    def topic_partitions(self, _topic: str) -> int:
        return self.partitions

    async def seek_to_committed(self) -> dict[TP, int | None]:
        await self.knows_what_is_committed.wait()
        return {KNOWN: 7, UNTOUCHED: None, CHANGELOG: None}

    async def getmany(self, _active: object, _timeout: float) -> dict[TP, list[Record]]:
        return self.fetched

    async def seek_to_beginning(self, *partitions: TP) -> None:
        self.rewound += partitions


class Bench:
    def __init__(self) -> None:
        app: Any = faust.App("watch", broker="kafka://127.0.0.1:1", web_enabled=False)
        thread = self.thread = Thread()

        class Threadless(Consumer):
            @override
            def _new_consumer_thread(self) -> Any:
                return thread

        class Offline(Transport):
            Consumer = Threadless

        app.Table("health")
        app.transport = Offline(app, Deliveries(), 0.1)
        self.consumer: Any = app.transport.create_consumer(
            callback=nothing, on_partitions_revoked=nothing, on_partitions_assigned=nothing
        )

    def given(self, where: TP, start: int, end: int) -> BatchMessage:
        return self.consumer._to_message(where, records(start, end))  # what Faust calls

    def to_commit(self, where: TP) -> int | None:
        return self.consumer._new_offset(where)  # what Faust calls


@pytest.mark.asyncio
async def test_nothing_is_read_from_when_partitions_are_resumed_until_their_place_is_known() -> None:
    bench = Bench()
    bench.consumer.resume_flow()

    seeking = asyncio.ensure_future(bench.consumer.perform_seek())
    assert not bench.consumer.flow_active, "not even in the round of the loop before it begins"
    bench.thread.knows_what_is_committed.set()
    await seeking
    assert not bench.consumer.flow_active, "who asked for it resumes"


@pytest.mark.asyncio
async def test_where_nothing_was_ever_committed_reading_begins_anew() -> None:
    bench = Bench()
    bench.thread.knows_what_is_committed.set()
    await bench.consumer.perform_seek()
    assert bench.thread.rewound == (UNTOUCHED,)


@pytest.mark.asyncio
async def test_a_topic_of_which_nothing_is_known_yet_is_not_one_without_partitions() -> None:
    bench = Bench()
    assert bench.consumer.topic_partitions("watch-health-changelog") is None
    bench.thread.partitions = 6
    assert bench.consumer.topic_partitions("watch-health-changelog") == 6


@pytest.mark.asyncio
async def test_records_of_our_topics_come_together_and_those_of_changelogs_one_by_one() -> None:
    bench = Bench()
    bench.thread.fetched = {KNOWN: records(0, LARGEST_BATCH + 1), CHANGELOG: records(0, 3)}

    fetched = await bench.consumer._getmany(set(), 0)  # what Faust calls

    assert [len(batch) for batch in fetched[KNOWN]] == [LARGEST_BATCH, 1]
    assert fetched[CHANGELOG] == bench.thread.fetched[CHANGELOG]


@pytest.mark.asyncio
async def test_what_is_committed_is_the_end_of_the_batches_that_are_finished_without_a_gap() -> None:
    bench = Bench()
    first, second, third = (bench.given(KNOWN, *bounds) for bounds in ((0, 1), (1, 100), (150, 200)))

    third.acked = True
    assert bench.to_commit(KNOWN) is None
    first.acked = True
    assert bench.to_commit(KNOWN) == 1, "after the first record of a partition, too"
    assert bench.to_commit(KNOWN) is None
    second.acked = True
    assert bench.to_commit(KNOWN) == 200, "what compaction has removed is no gap"


@pytest.mark.asyncio
async def test_a_batch_that_ends_after_its_place_was_left_moves_no_offset() -> None:
    bench = Bench()
    before = bench.given(KNOWN, 7, 20)
    bench.thread.knows_what_is_committed.set()
    await bench.consumer.perform_seek()
    again = bench.given(KNOWN, 7, 15)

    before.acked = True
    assert bench.to_commit(KNOWN) is None
    again.acked = True
    assert bench.to_commit(KNOWN) == 15


class Cluster:
    """Tells of one topic more each time it is asked; at first of nothing, since no broker answers."""

    def __init__(self) -> None:
        self.told = 0

    async def fetch_all_metadata(self) -> "Cluster":
        self.told += 1
        if self.told == 1:
            raise KafkaConnectionError
        return self

    def topics(self) -> set[str]:
        return set(["llm.calls", "watch-sightings", "watch-health-changelog"][: self.told - 1])


@pytest.mark.asyncio
async def test_a_topic_that_was_just_made_is_subscribed_to_only_once_brokers_tell_of_it() -> None:
    cluster = Cluster()

    await told_of(frozenset({"llm.calls", "watch-sightings"}), cluster.fetch_all_metadata)

    assert cluster.told == 3


class Client:
    """aiokafka's consumer, as far as Faust looks into it when it asks whether anything moves."""

    def __init__(self, subscription: SubscriptionState) -> None:
        self._subscription = subscription
        self._fetcher = self
        self._subscriptions = subscription


@contextmanager
def thread_over(subscription: SubscriptionState) -> Generator[ConsumerThread]:
    """Not started."""
    thread = ConsumerThread(Bench().consumer)
    vars(thread)["_consumer"] = Client(subscription)
    yield thread
    thread.thread_loop.close()


@pytest.mark.asyncio
async def test_where_nothing_moves_is_looked_for_only_once_the_position_is_known(
    caplog: pytest.LogCaptureFixture,
) -> None:
    subscription: Any = SubscriptionState()
    with thread_over(subscription) as thread:
        thread.time_started = 0.0
        later = 3_600.0

        thread.verify_event_path(later, KNOWN)  # nothing is subscribed to
        subscription.assign_from_user([TopicPartition(*KNOWN)])
        thread.verify_event_path(later, UNTOUCHED)  # another's by now
        thread.verify_event_path(later, KNOWN)
        assert not caplog.records

        subscription.subscription.assignment.state_value(TopicPartition(*KNOWN)).seek(7)
        thread.verify_event_path(later, KNOWN)
        assert "llm.calls" in caplog.text


@pytest.mark.asyncio
async def test_a_thread_that_ends_prints_no_message_of_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with thread_over(SubscriptionState()) as thread:
        thread.on_crash("{0!r} crashed: {1!r}", "ConsumerThread", ValueError("what was read"))

    assert capsys.readouterr() == ("", "")


class Calls:
    """Where calls go to be carried out in the client's thread. `asked` is set once there is one, which stays open."""

    def __init__(self, outcome: BaseException | None) -> None:
        self._outcome = outcome
        self.asked = asyncio.Event()

    async def call(self, promise: "asyncio.Future[Any]", *_: object) -> "asyncio.Future[Any]":
        self.asked.set()
        if self._outcome is not None:
            promise.set_exception(self._outcome)
        return promise


@pytest.mark.asyncio
async def test_what_the_client_gives_up_is_an_error_and_no_cancellation_that_ends_who_asked_without_a_word() -> None:
    with thread_over(SubscriptionState()) as thread:
        vars(thread)["_method_queue"] = Calls(asyncio.CancelledError())

        with pytest.raises(KafkaError, match="gave up"):
            await thread.call_thread(nothing)


@pytest.mark.asyncio
async def test_who_is_cancelled_while_it_asks_the_client_is_cancelled() -> None:
    with thread_over(SubscriptionState()) as thread:
        queue = vars(thread)["_method_queue"] = Calls(None)
        asking = asyncio.create_task(thread.call_thread(nothing))
        await queue.asked.wait()
        asking.cancel()

        with pytest.raises(asyncio.CancelledError):
            await asking

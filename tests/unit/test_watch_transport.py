"""Faust's consumer, corrected: what it is told before it knows is not taken for knowledge."""

import asyncio
from typing import Any

import faust
import pytest
from faust.types.tuples import TP
from mode import Service
from typing_extensions import override

from streams.watch.deliveries import Deliveries
from streams.watch.transport import Consumer, Transport

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

    def topic_partitions(self, _topic: str) -> int:
        return self.partitions

    async def seek_to_committed(self) -> dict[TP, int | None]:
        await self.knows_what_is_committed.wait()
        return {KNOWN: 7, UNTOUCHED: None, CHANGELOG: None}

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

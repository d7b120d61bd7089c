"""What other workers of the stage have completed and are still calling for: relearned when partitions are assigned, and
followed only while somebody's call is waited for.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from confluent_kafka import KafkaException, TopicPartition

from schemas.flow import Completion, HandedOver
from streams.invoke.elsewhere import Elsewhere
from streams.invoke.finished import Finished
from streams.invoke.relearn import Learned, news_of, relearn
from streams.observe.logs import logger
from streams.runtime.delivery import Delivery
from streams.runtime.kafka import Clients, PartitionReader
from streams.runtime.messages import END_OF_PARTITION, delivery_of
from streams.runtime.restore import RestoreStoppedError, TableReader
from streams.settings import KafkaSettings

log = logger(__name__)
LOOK_S = 0.25
BATCH = 1_000


class Others:
    def __init__(
        self,
        clients: Clients,
        reader: TableReader,
        kafka: KafkaSettings,
        *,
        me: str,
        window_ms: int,
        now_ms: Callable[[], int],
    ) -> None:
        self.finished = Finished()
        self.elsewhere = Elsewhere(me)
        self.me = me
        self._clients = clients
        self._reader = reader
        self._reading = asyncio.Lock()
        # always the same thread: each other one would keep a heap of its own, as large as what it has read
        self._thread = ThreadPoolExecutor(1, "relearn")
        self._stop = threading.Event()
        self._kafka = kafka
        self._window_ms = window_ms
        self._now_ms = now_ms

    async def relearn(self, starts: Sequence[TopicPartition], superseded: Callable[[], bool]) -> Learned | None:
        """What is learned counts from then on. None, and nothing learned, when the partitions are gone before that:
        then a failure of the reading is nobody's either.
        """
        async with self._reading:  # of a predecessor that was superseded, and ends soon
            self._reader.obey(lambda: self._stop.is_set() or superseded())
            try:
                learned = await asyncio.get_running_loop().run_in_executor(
                    self._thread, relearn, self._reader, self._kafka, starts, self._now_ms(), self._window_ms
                )
            except RestoreStoppedError:
                return None
            except Exception:
                if superseded():
                    return None
                raise
        if superseded():
            return None
        for identity in learned.completed:
            self.finished.add(identity, self._now_ms())
        for told in learned.handed_over:
            self._hear(told)
        return learned

    def stop(self) -> None:
        """Nothing is relearned from now on: what is being read is given up, even if brokers say nothing at all."""
        self._stop.set()

    async def follow(self, learned: Learned, superseded: Callable[[], bool]) -> None:
        """Returns when nobody's call is waited for any more. Not to be cancelled: a thread is reading. Raises
        KafkaException when a partition cannot be read for good.
        """
        log.info("waiting_for_calls_elsewhere", calls=len(self.elsewhere))
        reader = self._clients.reader()
        try:
            reader.assign(list(learned.ends))
            while self.elsewhere and not superseded():
                records = await asyncio.to_thread(_read, reader)
                if superseded():
                    return
                for record in records:
                    self._hear(news_of(record, self._kafka))
                self.elsewhere.expire(self._now_ms())
        finally:
            reader.close()

    def _hear(self, news: Completion | HandedOver | None) -> None:
        match news:
            case Completion():
                self.finished.add(news.round_name, self._now_ms())
                self.elsewhere.release(news.round_name)
            case HandedOver():
                if news.identity not in self.finished:
                    self.elsewhere.learn(news, self._now_ms())
            case None:
                pass


def _read(reader: PartitionReader) -> list[Delivery]:
    records: list[Delivery] = []
    for message in reader.consume(BATCH, LOOK_S):
        error = message.error()
        if error is None:
            records.append(delivery_of(message))
        elif error.code() != END_OF_PARTITION and (error.fatal() or not error.retriable()):
            raise KafkaException(error)
    return records

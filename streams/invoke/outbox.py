"""Records on their way out of the event loop: awaited until acknowledged by all in-sync copies."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from schemas.topics import DEAD_LETTERS
from streams.runtime.delivery import Delivery
from streams.runtime.envelope import Envelope
from streams.settings import KafkaSettings


class AsyncOutbox:
    def __init__(self, kafka: KafkaSettings, producer: AIOKafkaProducer) -> None:
        self._kafka = kafka
        self._producer = producer

    async def write(self, envelopes: Sequence[Envelope]) -> None:
        """Returns when all are safe. Raises aiokafka's KafkaError when the broker would not take one in time."""
        sent: list[asyncio.Future[Any]] = [
            await self._producer.send(e.topic, e.value, e.key, e.partition, headers=e.headers) for e in envelopes
        ]
        if len(sent) == 1:  # nearly always, and a future less
            await sent[0]
        else:
            await asyncio.gather(*sent)

    async def write_dead_letter(self, cause: Delivery, headers: list[tuple[str, bytes]]) -> None:
        partition = cause.partition % self._kafka.partitions
        topic = self._kafka.topic(DEAD_LETTERS)
        await self._producer.send_and_wait(topic, cause.value, cause.key, partition, headers=headers)

"""`python -m scripts.bench.contenders.floor`: takes a request, asks the provider, passes the answer on. The least that
any gateway on Kafka has to do in Python: aiokafka, bare aiohttp, orjson, and nothing else.
"""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, cast

import aiohttp
import typer
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from schemas.base import dump_json, load_json

_AT_ONCE = 500
Fetched = dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]


class Floor:
    """`in_flight` calls wait on the provider at once, at most. Offsets are committed as aiokafka does by itself."""

    def __init__(self, producer: AIOKafkaProducer, session: aiohttp.ClientSession, url: str, in_flight: int) -> None:
        self._producer = producer
        self._session = session
        self._url = url
        self._places = asyncio.Semaphore(in_flight)
        self._calls: set[asyncio.Task[None]] = set()

    async def take(self, record: ConsumerRecord[bytes, bytes], answers: str) -> None:
        """Returns when there is a place, not when the call has ended."""
        await self._places.acquire()
        call = asyncio.create_task(self._ask(record, answers))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def _ask(self, record: ConsumerRecord[bytes, bytes], answers: str) -> None:
        try:
            event: Any = load_json(record.value or b"")
            body = dump_json({"model": event["model"], "messages": event["messages"], **event["params"]})
            async with self._session.post(self._url, data=body) as response:
                said: Any = load_json(await response.read())
            value = {"request_id": event["request_id"], "status": "ok", "output": said["choices"][0]["message"]}
            await self._producer.send(
                answers, dump_json({**value, "usage": said["usage"]}), event["request_id"].encode()
            )
        finally:
            self._places.release()


def floor(
    bootstrap_servers: Annotated[str, typer.Option(help="Where the broker is.")],
    requests: Annotated[str, typer.Option(help="Topic to read.")],
    answers: Annotated[str, typer.Option(help="Topic to write.")],
    provider_url: Annotated[str, typer.Option(help="Base URL of the provider, as its SDK has it.")],
    ready_file: Annotated[Path, typer.Option(help="Made when the first record could be taken.")],
    in_flight: Annotated[int, typer.Option(min=1, help="Calls at once.")] = 512,
) -> None:
    """Read, ask, write, until SIGTERM."""
    asyncio.run(_run(bootstrap_servers, requests, answers, f"{provider_url}/chat/completions", ready_file, in_flight))


async def _run(servers: str, requests: str, answers: str, url: str, ready_file: Path, in_flight: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    consumer = AIOKafkaConsumer(
        requests, bootstrap_servers=servers, group_id="bench-floor", auto_offset_reset="earliest", fetch_max_wait_ms=100
    )
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", compression_type="lz4", linger_ms=0)
    headers = {"authorization": "Bearer sk-bench", "content-type": "application/json"}
    connector = aiohttp.TCPConnector(limit=0)
    async with consumer, producer, aiohttp.ClientSession(headers=headers, connector=connector) as session:
        working = Floor(producer, session, url, in_flight)
        while not consumer.assignment() and not stop.is_set():
            await consumer.getmany(timeout_ms=50)
        ready_file.touch()  # noqa: ASYNC240  # once, before anything is measured
        while not stop.is_set():
            batches = cast("Fetched", await consumer.getmany(timeout_ms=100, max_records=_AT_ONCE))
            for records in batches.values():
                for record in records:
                    await working.take(record, answers)


if __name__ == "__main__":
    sys.exit(typer.run(floor))

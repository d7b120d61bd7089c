"""`watch` of a cluster that takes a second to say what its group has committed, as after an outage."""

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer

from streams.settings import KafkaSettings, ObserveSettings, WorkerSettings
from streams.watch.run import run_watch
from streams.watch.settings import WatchSettings

_LOOKS_UP_S = 1
_client: Any = AIOKafkaConsumer  # it has no types
_seek_to_committed = _client.seek_to_committed


async def _seek_slowly(self: Any, *partitions: Any) -> Any:
    await asyncio.wait({asyncio.get_running_loop().create_future()}, timeout=_LOOKS_UP_S)
    return await _seek_to_committed(self, *partitions)


if __name__ == "__main__":
    _client.seek_to_committed = _seek_slowly
    run_watch(KafkaSettings(), WatchSettings(), WorkerSettings(), ObserveSettings())

"""`watch` whose start waits for ever for what it was never told, and is given five seconds."""

import asyncio
from typing import Any

from faust.tables.recovery import Recovery

from streams.settings import KafkaSettings, ObserveSettings, WorkerSettings
from streams.watch import standstill
from streams.watch.run import run_watch
from streams.watch.settings import WatchSettings

_recovery: Any = Recovery


async def _wait_for_ever(_recovery: object, _generation: int = 0) -> None:
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    _recovery.on_recovery_completed = _wait_for_ever
    standstill.BEGINS_WITHIN_S = 5.0
    run_watch(KafkaSettings(), WatchSettings(), WorkerSettings(), ObserveSettings())

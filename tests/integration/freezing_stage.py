"""A stage that freezes its own process in the middle of a batch, at the event of a named request:
`python -m tests.integration.freezing_stage STAGE REQUEST_ID`.

Its clock stands still meanwhile, as that of a paused virtual machine does until it is set again: the process itself
cannot know that it was away.
"""

import os
import signal
import sys
from dataclasses import replace
from typing import Any

from streams.clock import now_ms
from streams.observe.health import Progress
from streams.observe.logs import configure_logging
from streams.observe.metrics import Metrics
from streams.process import stop_on_signal
from streams.runtime.kafka import ConfluentClients
from streams.runtime.outcome import Outcome
from streams.runtime.stage import View
from streams.runtime.worker import Worker
from streams.settings import KafkaSettings, WorkerSettings
from streams.topology import SYNCHRONOUS


class Freezing:
    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._away_ms = 0

    def clock(self) -> int:
        return now_ms() - self._away_ms

    def freeze(self, event: Any) -> None:
        ticket = getattr(event, "ticket", None)
        if ticket is not None and ticket.request_id == self._request_id:
            before_ms = now_ms()
            os.kill(os.getpid(), signal.SIGSTOP)
            self._away_ms = now_ms() - before_ms


def run(stage_name: str, request_id: str) -> None:
    configure_logging(stage_name, "info")
    freezing, stage, kafka = Freezing(request_id), SYNCHRONOUS[stage_name], KafkaSettings()

    def decide(event: Any, view: View[Any]) -> Outcome:
        freezing.freeze(event)
        return stage.decide(event, view)

    Worker(
        replace(stage, decide=decide),
        ConfluentClients(kafka),
        kafka,
        WorkerSettings(),
        now_ms=freezing.clock,
        metrics=Metrics(),
        progress=Progress(now_ms, 60_000),
    ).run(stop_on_signal())


if __name__ == "__main__":
    run(*sys.argv[1:])

"""The invoke worker as a process of its own, to be frozen and killed: `python -m tests.integration.invoke_process`.

Arguments: the drain time in ms, then the questions that are not answered before SIGUSR1. Kafka's settings come from the
environment. Every question is logged as a line, `asked <name>`. SIGTERM stops it.
"""

import signal
import sys
import threading
from pathlib import Path

from typing_extensions import override

from schemas.control import Deployment
from schemas.prompt import UserMessage
from scripts.stack.process import Child, Command, spawn
from scripts.stack.readiness import holds_within
from streams.clock import now_ms
from streams.observe.health import Progress
from streams.observe.metrics import Metrics
from streams.providers.protocol import Question, Reply
from streams.settings import KafkaSettings
from tests.integration.invoke_bench import Desk, InvokeRun
from tests.integration.kafka_log import WITHIN_S
from tests.integration.orphans import REPOSITORY


class InvokeProcess:
    def __init__(self, kafka: KafkaSettings, log: Path, *held: str, drain_ms: int = 0) -> None:
        self._log = log
        given = kafka.model_dump(mode="json", exclude_none=True)
        self.child: Child = spawn(
            Command(
                argv=[sys.executable, "-m", "tests.integration.invoke_process", str(drain_ms), *held],
                log=log,
                cwd=REPOSITORY,
                env={f"MILLRACE_KAFKA_{field.upper()}": str(value) for field, value in given.items()},
            )
        )

    @property
    def lines(self) -> list[str]:
        return self._log.read_text().splitlines() if self._log.exists() else []

    @property
    def asked(self) -> list[str]:
        return [line.removeprefix("asked ") for line in self.lines if line.startswith("asked ")]

    def await_asked(self, *names: str) -> None:
        assert holds_within(WITHIN_S, lambda: set(names) <= set(self.asked)), self.lines

    def release(self) -> None:
        """Also while it is frozen: it then finds the answers when it wakes."""
        self.child.signal(signal.SIGUSR1)


class LoudDesk(Desk):
    @override
    async def ask(self, deployment: Deployment, question: Question) -> Reply:
        (message,) = question.prompt.messages
        assert isinstance(message, UserMessage)
        sys.stdout.write(f"asked {message.content}\n")
        sys.stdout.flush()
        return await super().ask(deployment, question)


def main(drain_ms: int, held: list[str]) -> None:
    desk, stop = LoudDesk(*held), threading.Event()

    def on_signal(number: int, _frame: object) -> None:
        if number == signal.SIGUSR1:
            desk.release(*held)
        else:
            stop.set()

    for number in (signal.SIGUSR1, signal.SIGTERM):
        signal.signal(number, on_signal)
    progress = Progress(now_ms, 60_000)
    InvokeRun(KafkaSettings(), desk, Metrics(), progress, lanes=(8, 8, 8), drain_ms=drain_ms).run(stop)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])

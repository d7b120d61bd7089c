"""A stage as the process that it is."""

import http.client
import sys
from pathlib import Path

from schemas.base import load_json
from scripts.stack.process import Child, Command, spawn
from tests.integration.orphans import REPOSITORY
from tests.integration.worker_thread import Bench

STAGE = """
import sys
from streams.process import run_stage
from streams.settings import InvokeSettings, KafkaSettings, ObserveSettings, WorkerSettings
run_stage(sys.argv[1], KafkaSettings(), WorkerSettings(), InvokeSettings(), ObserveSettings())
"""
FREEZING = ("-m", "tests.integration.freezing_stage")


class StageProcess:
    """`worker` are settings of the worker, by name; everything of the process is in `directory`, which it makes. With
    `freezes_at` it freezes at the event of the request of that id, and serves no health.
    """

    def __init__(
        self, bench: Bench, directory: Path, name: str, *, freezes_at: str | None = None, **worker: int
    ) -> None:
        directory.mkdir()
        self._port_file = directory / "port"
        self.log = directory / "log"
        kafka = bench.kafka.model_dump(mode="json", exclude_none=True)
        settings = {f"MILLRACE_KAFKA_{field.upper()}": str(value) for field, value in kafka.items()}
        self.child: Child = spawn(
            Command(
                argv=[sys.executable, *(["-c", STAGE, name] if freezes_at is None else [*FREEZING, name, freezes_at])],
                log=self.log,
                cwd=REPOSITORY,
                env={
                    **settings,
                    "MILLRACE_OBSERVE_PORT_FILE": str(self._port_file),
                    "MILLRACE_OBSERVE_STALL_S": "5",
                    **{f"MILLRACE_WORKER_{f.upper()}": str(v) for f, v in {"batch_size": 20, **worker}.items()},
                },
            )
        )

    def health(self) -> tuple[int, object] | None:
        """None before it listens."""
        if not self._port_file.exists():
            return None
        connection = http.client.HTTPConnection("127.0.0.1", int(self._port_file.read_text()), timeout=5)
        try:
            connection.request("GET", "/healthz")
            response = connection.getresponse()
            content = load_json(response.read())
            assert isinstance(content, dict)
            return response.status, content["state"]
        finally:
            connection.close()

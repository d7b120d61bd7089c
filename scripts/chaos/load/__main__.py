"""`python -m scripts.chaos.load`: asks until SIGTERM, then waits until all it has sent is acknowledged, and ends."""

import logging
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from scripts.chaos.load.publisher import Publisher
from scripts.chaos.load.timetable import timetable
from streams.settings import KafkaSettings

LONGEST_WAIT_S = 0.2
"""Signals are looked at this often."""


def load(
    run_folder: Annotated[Path, typer.Option(help="Where `env` is, and `load.jsonl` will be.")],
    rate: Annotated[float, typer.Option(min=0.01, help="Records a second.")] = 20.0,
    seed: Annotated[int, typer.Option(help="The same seed sends the same records at the same seconds.")] = 1,
) -> None:
    """Ask as many outsiders would: at a steady mean rate, whatever becomes of the answers."""
    kafka = KafkaSettings(_env_file=run_folder / "env")  # pyright: ignore[reportCallIssue]  # pydantic's own argument
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopped.append(number))
    signal.signal(signal.SIGINT, lambda number, _frame: stopped.append(number))
    with Publisher(kafka, run_folder / "load.jsonl", _now_ms) as publisher:
        started_s = time.monotonic()
        for due_s, sending in timetable(seed, rate, _now_ms()):
            while not stopped and (left_s := started_s + due_s - time.monotonic()) > 0:
                publisher.wait(min(left_s, LONGEST_WAIT_S))
            if stopped:
                break
            publisher.send(sending)
        print(f"stopping: {publisher.open} records are not acknowledged yet", flush=True)
        publisher.flush()
        print(f"{publisher.acknowledged} records acknowledged", flush=True)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    sys.exit(typer.run(load))

"""Work that is done once, or over and over beside everything else: then nothing that is away for a while ends it."""

import sys
import threading
from collections.abc import Callable
from typing import Annotated

import typer
from confluent_kafka import KafkaException

from scripts.cli.fault import Fault, sentence_of

EveryS = Annotated[int, typer.Option(min=0, help="Do it again after so many seconds, until Ctrl-C; 0: once.")]


def again(every_s: int, work: Callable[[], None], wait: Callable[[float], object] | None = None) -> None:
    """Returns after the work is done, or with `every_s` never: what went wrong is told, and tried anew when its time
    has come. Without it, raises whatever the work does.
    """
    pause = wait or threading.Event().wait
    while True:
        try:
            work()
        except (Fault, KafkaException, TimeoutError) as error:
            if not every_s:
                raise
            print(f"millrace: {sentence_of(error)}; again in {every_s} s", file=sys.stderr, flush=True)
        if not every_s:
            return
        pause(every_s)

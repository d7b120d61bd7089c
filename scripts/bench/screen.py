"""What a command shows: where a run is, what went wrong in a sentence, and JSON for programs."""

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Annotated, Final, Self

import typer
from rich.console import Console
from rich.status import Status

from schemas.base import dump_json
from scripts.bench.cpu import ProcessGone
from scripts.bench.page import NotMarked
from scripts.bench.trace import UnreadableTrace
from scripts.cli.fault import sentence_of
from scripts.local.layout import RUN_FOLDER

FOLDER: Final = RUN_FOLDER / "bench"
"""Of everything that runs; made anew by every command."""

_PIPED_WIDTH: Final = 160
_TOLD: Final = (NotMarked, ProcessGone, UnreadableTrace)
"""Whose message is the whole story, beside those the command line knows."""

Seed = Annotated[int, typer.Option(help="Draws the timetable; the same seed asks at the same times.")]
AsObject = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


class Steps:
    """A line that moves on a terminal, one line for each step elsewhere. Call it with what is being done now."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started_s = time.monotonic()
        self._status = Status("starting", console=console)

    def __call__(self, what: str) -> None:
        if self._console.is_terminal:
            self._status.update(f"{time.monotonic() - self._started_s:5.0f} s  {what}")
        else:
            self._console.print(f"{time.monotonic() - self._started_s:6.1f} s  {what}", highlight=False)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._status.stop()


@contextmanager
def telling(*, as_object: bool) -> Generator[Console]:
    """A console that leaves standard output to JSON where that is asked for. Exit 2 for what could not be done."""
    stream = sys.stderr if as_object else sys.stdout
    console = Console(stderr=as_object, width=None if stream.isatty() else _PIPED_WIDTH)
    try:
        yield console
    except KeyboardInterrupt:
        console.print("stopped: everything that was started has been ended")
        raise typer.Exit(130) from None
    except typer.Exit:
        raise
    except Exception as error:
        sentence = str(error) if isinstance(error, _TOLD) else sentence_of(error)
        if sentence is None:
            raise
        console.print(sentence, style="red", highlight=False, markup=False)
        raise typer.Exit(2) from None


def print_json(result: object) -> None:
    sys.stdout.buffer.write(dump_json(result) + b"\n")

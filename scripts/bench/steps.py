"""Where a run is: a line that moves on a terminal, one line for each step elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status


class Steps:
    """Use as a context manager; call it with what is being done now."""

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

"""What was done and what happened, line by line: whoever reads along sees a line once it is complete."""

import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from schemas.base import dump_json

Heard = Callable[[dict[str, Any]], None]


class Journal:
    """One file of JSON lines, each with its `at_ms`. May be written from any thread."""

    def __init__(self, path: Path, now_ms: Callable[[], int], heard: Heard | None = None) -> None:
        """`heard` is told every line."""
        self._now_ms = now_ms
        self._heard = heard
        self._lock = threading.Lock()
        self._file = path.open("ab", buffering=0)

    def write(self, **fields: Any) -> None:
        line = {"at_ms": self._now_ms(), **fields}
        with self._lock:
            if self._file.closed:
                return  # what ends after the run has ended is no part of it
            self._file.write(dump_json(line) + b"\n")
        if self._heard is not None:
            self._heard(line)

    def close(self) -> None:
        with self._lock:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

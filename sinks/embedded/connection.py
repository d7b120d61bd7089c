"""One connection to the engine in this process: settings and parameters that last as long as it does, typed answers.

A connection is cheap (0.15 ms) and private: settings made on one are not seen by another, and any number of them work
at the same time, each in a thread of its own. The engine lives as long as at least one is open.
"""

import importlib
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, Self, cast

from sinks.embedded.errors import read_engine_error


class _Memory(Protocol):
    def view(self) -> memoryview: ...


class _Result(Protocol):
    def get_memview(self) -> _Memory: ...
    def rows_read(self) -> int: ...
    def rows_written(self) -> int: ...
    def bytes_written(self) -> int: ...
    def storage_rows_read(self) -> int: ...
    def storage_bytes_read(self) -> int: ...
    def size(self) -> int: ...


class _Handle(Protocol):
    def query(self, query_str: bytes, output_format: str, /, *, params: Mapping[str, str]) -> _Result: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the engine answered and what it counted. `data` lives in memory of the engine that `owner` keeps alive."""

    owner: object
    data: memoryview
    result_rows: int
    read_rows: int
    read_bytes: int
    written_rows: int
    written_bytes: int


class Connection:
    """Not for two threads at once. Every method raises ClickHouseError and leaves the connection usable."""

    def __init__(self, handle: _Handle) -> None:
        self._handle = handle

    @classmethod
    def open(cls, engine_path: str, configuration_path: str) -> Self:
        """The first one in the process starts the engine. Both paths are used as they are, so keep `?` out of them."""
        # Imported late: importing it starts threads, which would keep the rights this thread may have given up.
        extension = importlib.import_module("chdb._chdb")
        with _engine_errors():
            return cls(cast(_Handle, extension.connect(f"{engine_path}?config-file={configuration_path}")))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._handle.close()

    def set(self, settings: Iterable[tuple[str, str]]) -> None:
        """Values are texts, which the engine reads as the setting's type. Names must be identifiers."""
        assignments = ", ".join(f"{name} = {_quoted(value)}" for name, value in settings)
        if assignments:
            self.query(f"SET {assignments}".encode(errors="surrogateescape"), "TSV")

    def query(self, statement: bytes, format_name: str, parameters: Mapping[str, str] | None = None) -> Outcome:
        """`parameters`, when given, replace those made with `set` for good."""
        with _engine_errors():
            result = self._handle.query(statement, format_name, params=parameters or {})
        # A result without a byte has no memory to look at.
        data = result.get_memview().view() if result.size() else memoryview(b"")
        return Outcome(
            owner=result,
            data=data,
            result_rows=result.rows_read(),
            read_rows=result.storage_rows_read(),
            read_bytes=result.storage_bytes_read(),
            written_rows=result.rows_written(),
            written_bytes=result.bytes_written(),
        )


@contextmanager
def _engine_errors() -> Generator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        # The engine's message quotes rows that are not text: the message itself is in the error.
        raise read_engine_error(error.object.decode(errors="replace")) from None
    except RuntimeError as error:
        raise read_engine_error(str(error)) from None


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"

"""What the bench says to the provider while it runs: how fast to answer, and what it has answered so far."""

import http.client
from contextlib import closing
from dataclasses import dataclass

from schemas.base import load_json
from scripts.bench.provider.pace import Pace
from scripts.stack.ports import LOOPBACK


@dataclass(frozen=True, slots=True)
class Stats:
    """Since the pace was set last. `most_open`: the most that waited for an answer at once. `first_asked_ns`: UTC, in
    nanoseconds since 1970, 0 before that.
    """

    answered: int
    open: int
    most_open: int
    first_asked_ns: int


def set_pace(port: int, pace: Pace) -> None:
    """Counts from zero again. Raises OSError."""
    _ask(port, "PUT", "/pace", pace.model_dump_json().encode())


def stats(port: int) -> Stats:
    said = load_json(_ask(port, "GET", "/stats"))
    if not isinstance(said, dict):
        raise TypeError("the provider's counts are no object")
    return Stats(*(int(str(said[name])) for name in ("answered", "open", "most_open", "first_asked_ns")))


def _ask(port: int, method: str, path: str, body: bytes | None = None) -> bytes:
    with closing(http.client.HTTPConnection(LOOPBACK, port, timeout=30)) as connection:
        connection.request(method, path, body)
        return connection.getresponse().read()

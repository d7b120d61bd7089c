"""Keeps a library's log from repeating itself: without a broker aiokafka says so a hundred times a second."""

import logging
from collections import Counter
from collections.abc import Callable

from typing_extensions import override

_Place = tuple[str, int]


class Repetition(logging.Filter):
    """Passes what one line of code has to say once in `every_s`, with how often it has been held back since.

    `now_s` is a monotonic clock. Our own lines and critical ones always pass.
    """

    def __init__(self, now_s: Callable[[], float], *, every_s: float = 10, ours: str = "streams") -> None:
        super().__init__()
        self._now_s = now_s
        self._every_s = every_s
        self._ours = ours
        self._said_s: dict[_Place, float] = {}
        self._held_back: Counter[_Place] = Counter()

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.CRITICAL or record.name.partition(".")[0] == self._ours:
            return True
        place = (record.name, record.lineno)
        now_s = self._now_s()
        if now_s - self._said_s.get(place, -self._every_s) < self._every_s:
            self._held_back[place] += 1
            return False
        self._said_s[place] = now_s
        held_back = self._held_back.pop(place, 0)
        if held_back:
            record.msg = f"{record.getMessage()} ({held_back} like it held back)"
            record.args = None
        return True

"""How a sentence becomes a vector while others are decided: in a thread of its own, within bounds."""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

from streams.observe.logs import logger
from streams.semantic.embedder import PATIENCE_S, UnfitModelError, Unready, Vector

log = logger(__name__)

MOST_WAITING = 256
"""At some 10 ms each they are as much as anybody would wait for; who comes then is asked for without comparison."""
MOST_KNOWN = 10_000
"""Vectors of some 800 bytes, so that a sentence that is taken up again need not be embedded again."""
PAUSE_S = 10.0
"""After a failure: one sentence must not put an end to it, and one that fails at each costs a line of the log now and
then.
"""
_NOT_THERE = (ImportError, UnfitModelError)
"""It is asked again when there is another process."""


_NEWEST_COUNTS = 0.2  # so that the pace of some ten sentences says how long the queue is


class Background:
    """Loads its model when it is first asked, and makes one vector after another; none of a text of which the model
    makes None, or at which it failed. Safe for use by several threads.
    """

    def __init__(
        self,
        name: str,
        load: Callable[[], Callable[[str], Vector | None]],
        *,
        most_waiting: int = MOST_WAITING,
        most_known: int = MOST_KNOWN,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._load = load
        self._most_waiting = most_waiting
        self._most_known = most_known
        self._each_s = 0.0
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Vector | None] = OrderedDict()
        self._waiting: set[str] = set()
        self._asked: SimpleQueue[tuple[str, float]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._now_s = now_s
        self._unavailable_until_s = 0.0

    def vector(self, text: str) -> Vector | Unready:
        with self._lock:
            if text in self._known:
                self._known.move_to_end(text)
                return self._known[text] or "unavailable"
            if self._now_s() < self._unavailable_until_s:
                return "unavailable"
            if text in self._waiting:
                return "pending"
            if len(self._waiting) >= self._most_waiting or len(self._waiting) * self._each_s > PATIENCE_S:
                return "unavailable"
            self._waiting.add(text)
            self._asked.put((text, self._now_s()))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="embedder", daemon=True)
                self._thread.start()
        return "pending"

    def _work(self) -> None:
        """Until the model cannot be loaded: then the next one that asks, after the pause, begins anew."""
        try:
            embed = self._load()
        except Exception as problem:  # noqa: BLE001  # whatever is wrong with a model, questions are asked without it
            with self._lock:
                self._thread = None
                self._rest(problem, math.inf if isinstance(problem, _NOT_THERE) else PAUSE_S)
            return
        log.info("embedder_ready", embedder=self.name)
        while True:
            text, since_s = self._asked.get()
            begun_s = self._now_s()
            if begun_s - since_s > PATIENCE_S:
                self._pass_over(text)
                continue
            try:
                vector = embed(text)
            except Exception as problem:  # noqa: BLE001  # the same
                with self._lock:
                    self._rest(problem, PAUSE_S)
                vector = None
            self._learn(text, vector, self._now_s() - begun_s)

    def _rest(self, problem: Exception, for_s: float) -> None:
        """Who waits is let go."""
        self._unavailable_until_s = self._now_s() + for_s
        self._waiting.clear()
        with suppress(Empty):
            while True:
                self._asked.get_nowait()
        log.error("embedder_unavailable", embedder=self.name, problem=type(problem).__name__, detail=_detail(problem))

    def _pass_over(self, text: str) -> None:
        """Who asked for it has gone on without: those who still wait need not wait for that too."""
        with self._lock:
            self._waiting.discard(text)

    def _learn(self, text: str, vector: Vector | None, took_s: float) -> None:
        with self._lock:
            self._waiting.discard(text)
            self._each_s += (took_s - self._each_s) * _NEWEST_COUNTS
            self._known[text] = vector
            if len(self._known) > self._most_known:
                self._known.popitem(last=False)


def _detail(problem: Exception) -> str:
    """Only of what is wrong with the model's files: other errors may quote a sentence."""
    return str(problem) if isinstance(problem, ModuleNotFoundError | UnfitModelError) else ""

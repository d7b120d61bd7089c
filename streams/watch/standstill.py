"""A start, or an end, that stands still ends the process: the next start goes better.

Faust waits for ever, and says nothing, for an answer that went with its broker, or for a task of its own that was
cancelled. Nothing is lost: what is not committed is read again, and tables are rebuilt at every start.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal, assert_never

from streams.observe.awaited import awaited
from streams.observe.health import Health
from streams.observe.last_resort import exit_hard
from streams.observe.logs import logger

log = logger(__name__)

LOOK_S = 1.0
BEGINS_WITHIN_S = 60.0
"""Without a table that grows, or a rebalance that begins or ends. Starting takes seconds, minutes for large tables."""
ENDS_WITHIN_S = 30.0
"""As long as whoever supervises it waits for its end when it has told it to."""


class Standstill:
    """Any sign but the one of the last time, or none, is a movement."""

    def __init__(self) -> None:
        self._sign: object = None
        self._since_s = 0.0

    def lasts_s(self, sign: object, now_s: float) -> float:
        """For how long `sign` has been the same; 0 for None."""
        if sign is None or sign != self._sign:
            self._sign, self._since_s = sign, now_s
        return now_s - self._since_s


def sign_of(app: Any, health: Health) -> object:
    """None while it works, or waits for work: what should move then is watched elsewhere."""
    if app.should_stop:
        return "ending"
    match health.state:
        case "running" | "stalled" | "stopping":
            return None
        case "starting" | "restoring":
            return app.rebalancing, tuple(app.tables.recovery.active_offsets.items())  # None until one is known
        case _ as unreachable:
            assert_never(unreachable)


class Guard:
    """A thread of its own, since the loops may be what stands still. Use as a context manager."""

    def __init__(self, app: Any, health: Callable[[], Health], now_s: Callable[[], float]) -> None:
        self._app = app
        self._health = health
        self._now_s = now_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="standstill", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> Literal[False]:
        self._over.set()
        return False

    def _run(self) -> None:
        """Nobody else would notice that nobody looks on."""
        try:
            self._look_on()
        except Exception as problem:  # whatever it is, it is told and ends us
            log.critical("ended_by_a_bug", problem=type(problem).__name__, exc_info=problem)
            exit_hard("who looks on whether watch stands still failed")

    def _look_on(self) -> None:
        standstill = Standstill()
        while not self._over.wait(LOOK_S):
            with suppress(RuntimeError):  # the tables' offsets grew while they were looked at
                sign = sign_of(self._app, self._health())
                within_s = ENDS_WITHIN_S if sign == "ending" else BEGINS_WITHIN_S
                if standstill.lasts_s(sign, self._now_s()) > within_s:
                    try:
                        log.error("standing_still", where=_waits(self._app))
                    finally:
                        exit_hard(f"watch stood still for {within_s:g} s while it {_doing(sign)}")


def _waits(app: Any) -> list[str]:
    """What the tasks of its own loop, and of its consumer's thread, wait for."""
    loops = (app.loop, getattr(getattr(app.consumer, "_thread", None), "thread_loop", None))
    return [line for loop in loops if loop is not None for line in awaited(asyncio.all_tasks(loop))]


def _doing(sign: object) -> str:
    return "ended" if sign == "ending" else "took up its partitions"

"""What tasks wait for: names of functions and lines, never what is in them."""

import asyncio
from collections.abc import Iterable
from typing import Any

DEEPEST = 25


def awaited(tasks: Iterable[asyncio.Task[Any]]) -> list[str]:
    """One line for each that is not done: the functions it is in, the innermost last."""
    return sorted(" > ".join(_chain(task.get_coro())) for task in tasks if not task.done())


def _chain(waits: Any) -> list[str]:
    """From a coroutine or generator to what it waits for, and on to what that waits for."""
    found: list[str] = []
    while waits is not None and len(found) < DEEPEST:
        frame = next(
            (here for here in (getattr(waits, f"{kind}_frame", None) for kind in ("cr", "gi", "ag")) if here), None
        )
        if frame is None:
            return [*found, type(waits).__name__]
        found.append(f"{waits.__qualname__}:{frame.f_lineno}")
        waits = (
            getattr(waits, "cr_await", None) or getattr(waits, "gi_yieldfrom", None) or getattr(waits, "ag_await", None)
        )
    return found

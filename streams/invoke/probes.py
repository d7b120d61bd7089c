"""One probe at a time of a deployment whose breaker lets the first calls through again: nobody else tries before it has
ended, and who has another target asks that one meanwhile.
"""

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace

from schemas.control import Breaker
from streams.control import ControlView

LOOK_AGAIN_MS = 250


class Probes:
    def __init__(self) -> None:
        self._under_way: set[str] = set()

    def seen(self, control: ControlView, now_ms: int) -> ControlView:
        """The configuration as everybody but the probes sees it."""
        shut = {
            name: breaker.model_copy(update={"state": "open", "until_ms": now_ms + LOOK_AGAIN_MS})
            for name in self._under_way
            if (breaker := control.breakers.get(name)) is not None and _wants_probe(breaker, now_ms)
        }
        return replace(control, breakers={**control.breakers, **shut}) if shut else control

    def around(self, name: str, control: ControlView, now_ms: int) -> AbstractContextManager[None]:
        """A call to this deployment, which is a probe if it is made at such a time."""
        breaker = control.breakers.get(name)
        if breaker is None or not _wants_probe(breaker, now_ms) or name in self._under_way:
            return nullcontext()
        return self._probing(name)

    @contextmanager
    def _probing(self, name: str) -> Generator[None]:
        self._under_way.add(name)
        try:
            yield
        finally:
            self._under_way.remove(name)


def _wants_probe(breaker: Breaker, now_ms: int) -> bool:
    """`watch` says half open, or its time is over and `watch` has not said so yet."""
    return breaker.state == "half_open" or (breaker.state == "open" and breaker.until_ms <= now_ms)

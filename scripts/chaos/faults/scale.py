"""One more worker of a stage joins its group, works for a while, and leaves in order."""

import time
from collections.abc import Mapping

from scripts.chaos.system import System
from scripts.stack.errors import StartError


class FurtherWorker:
    def __init__(self, system: System, stage: str, name: str) -> None:
        self._system = system
        self._stage = stage
        self._name = name

    def hindrance(self) -> str:
        return ""

    def describe(self) -> Mapping[str, object]:
        return {}

    def inject(self) -> None:
        """A start that ends because brokers are away is tried again, as those of others are: whether its end was a
        documented one is judged like theirs. Raises StartError when none succeeds in the time that one may take.
        """
        part = self._system.stack.part(self._name, "stage", self._stage)
        give_up_s = time.monotonic() + part.ready_within_s
        while True:
            try:
                self._system.stack.supervisor.start(part)
            except StartError:
                if time.monotonic() > give_up_s:
                    raise
            else:
                return

    def heal(self) -> None:
        if self._system.pid(self._name) is not None:
            self._system.deaths.want(self._name)
            self._system.stack.supervisor.stop(self._name)

    def recovered(self) -> bool:
        return self._system.pid(self._name) is None

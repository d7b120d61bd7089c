"""One more worker of a stage joins its group, works for a while, and leaves in order."""

from collections.abc import Mapping

from scripts.chaos.system import System


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
        self._system.stack.supervisor.start(self._system.stack.part(self._name, "stage", self._stage))

    def heal(self) -> None:
        if self._system.pid(self._name) is not None:
            self._system.deaths.want(self._name)
            self._system.stack.supervisor.stop(self._name)

    def recovered(self) -> bool:
        return self._system.pid(self._name) is None

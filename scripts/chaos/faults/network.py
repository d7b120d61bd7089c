"""What happens to the bytes between clients and a broker, ClickHouse or the provider."""

from collections.abc import Mapping

from scripts.chaos.network.mode import Holding, Losing, Mode, Passing, Refusing
from scripts.chaos.system import System

_NOBODY = "no connection leads there"


class CutOff:
    """Every connection is reset at once; clients may connect again."""

    def __init__(self, system: System, place: str) -> None:
        self._system = system
        self._place = place

    def hindrance(self) -> str:
        """Without a connection there is nothing to reset."""
        return "" if self._system.gates.connections(self._place) else _NOBODY

    def describe(self) -> Mapping[str, object]:
        return {"connections": self._system.gates.connections(self._place)}

    def inject(self) -> None:
        self._system.gates.cut(self._place)

    def heal(self) -> None:
        """Nothing to undo."""

    def recovered(self) -> bool:
        return True


class Disturbed:
    """For a while the network does something else than pass what it is given."""

    def __init__(self, system: System, place: str, mode: Mode) -> None:
        self._system = system
        self._place = place
        self._mode = mode

    def hindrance(self) -> str:
        """Delays and refusals are met by new connections; bytes are held and lost on those that are there."""
        match self._mode:
            case Holding() | Losing():
                return "" if self._system.gates.connections(self._place) else _NOBODY
            case Passing() | Refusing():
                return ""

    def describe(self) -> Mapping[str, object]:
        match self._mode:
            case Passing(delay_s=delay_s):
                return {"delay_ms": round(delay_s * 1000)}
            case Holding() | Losing() | Refusing():
                return {"connections": self._system.gates.connections(self._place)}

    def inject(self) -> None:
        self._system.gates.become(self._place, self._mode)

    def heal(self) -> None:
        self._system.gates.become(self._place, Passing())

    def recovered(self) -> bool:
        return True

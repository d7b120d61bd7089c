"""A provider that refuses, hangs, cuts, lies or is late, for a share of the calls."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from http.client import HTTPConnection

from schemas.base import dump_json
from scripts.chaos.system import System

_WITHIN_S = 10.0


class Misbehaving:
    """`kind` is the simulator's name of the fault, `rate` the share of calls that meet it."""

    def __init__(self, system: System, kind: str, rate: float, delay_s: float) -> None:
        self._port = system.simulator_port
        self._rule = {"kind": kind, "rate": round(rate, 2), "delay_s": round(delay_s, 1)}

    def hindrance(self) -> str:
        return ""

    def describe(self) -> Mapping[str, object]:
        return {"rule": self._rule}

    def inject(self) -> None:
        self._plan([self._rule])

    def heal(self) -> None:
        self._plan([])

    def recovered(self) -> bool:
        return True

    def _plan(self, rules: Sequence[Mapping[str, object]]) -> None:
        """Past the gate: the provider's operator is not cut off."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=_WITHIN_S)
        try:
            connection.request("POST", "/_control/faults", dump_json({"rules": rules}))
            answer = connection.getresponse()
            if answer.status != HTTPStatus.OK:
                raise RuntimeError(f"the simulator refused its fault plan: {answer.read().decode(errors='replace')}")
        finally:
            connection.close()

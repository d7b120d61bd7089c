"""One invoke worker that holds thousands of calls at once: how near it comes to the ideal, and in what memory."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any, Final

from schemas.topics import COMPLETIONS, DISPATCH
from scripts.bench.cpu import cpu_s, peak_rss_mb
from scripts.bench.ends import Ends
from scripts.bench.load.ear import Ear
from scripts.bench.machine import machine
from scripts.bench.membership import Watched
from scripts.bench.mix import Mix
from scripts.bench.provider.desk import stats
from scripts.bench.provider.pace import Pace
from scripts.bench.rig import OURS, Rig, Shape
from scripts.stack.errors import StackError
from scripts.stack.readiness import holds_within

_ROUTED_WITHIN_S: Final = 600.0
_BEGINS_WITHIN_S: Final = 120.0
_PATIENCE: Final = 10
"""Times the ideal, after which it is given up."""
_NAME: Final = "held"


@dataclass(frozen=True, slots=True)
class Held:
    """`wall_s` is from the first call to the last completion. `disturbed` of the `looks` at the group found it so."""

    requests: int
    in_flight: int
    most_open: int
    provider_s: float
    ideal_s: float
    wall_s: float
    peak_rss_mb: float
    cpu_us_per_call: float
    repeated: int
    looks: int
    disturbed: int

    @property
    def to_ideal(self) -> float:
        return self.wall_s / self.ideal_s


def ideal_s(requests: int, in_flight: int, provider_s: float) -> float:
    return ceil(requests / in_flight) * provider_s


def hold(requests: int, in_flight: int, provider_s: float, folder: Path, step: Callable[[str], None]) -> dict[str, Any]:
    """All requests are routed before the worker starts, and the other stages stopped: it has the machine to itself."""
    facts = machine()
    with Rig(folder, Shape(in_flight=in_flight), step) as rig:
        rig.stop("invoke")
        step(f"routing {requests} requests")
        mix = Mix(name=_NAME, count=requests)
        rig.publish(mix)
        dispatched = rig.stack.kafka.topic(DISPATCH["normal"])
        with Ends(rig.stack.kafka.bootstrap_servers) as ends:
            if not holds_within(_ROUTED_WITHIN_S, lambda: ends.count(dispatched) >= requests):
                raise StackError(f"{ends.count(dispatched)} of {requests} were routed in {_ROUTED_WITHIN_S:g} s")
        rig.stop(*(name for name in OURS if name != "invoke"))
        rig.set_pace(Pace(latency_ms=provider_s * 1000))
        held = _measured(rig, requests, in_flight, provider_s, step)
    return {"machine": facts, **asdict(held), "to_ideal": round(held.to_ideal, 3)}


def _measured(rig: Rig, requests: int, in_flight: int, provider_s: float, step: Callable[[str], None]) -> Held:
    kafka = rig.stack.kafka
    ideal = ideal_s(requests, in_flight, provider_s)
    ear = Ear(kafka.bootstrap_servers, kafka.topic(COMPLETIONS), f"{_NAME}-", requests)
    watched = Watched(kafka.bootstrap_servers, kafka.group("invoke"))
    try:
        step("starting invoke")
        rig.start("invoke")
        pid, before_s = rig.pid("invoke"), cpu_s(rig.pid("invoke"))
        if not holds_within(_BEGINS_WITHIN_S, lambda: stats(rig.provider_port).first_asked_ns > 0):
            raise StackError(f"invoke called nobody within {_BEGINS_WITHIN_S:g} s")
        step(f"{requests} calls of {provider_s:g} s, {in_flight} at once: {ideal:g} s at best")
        if not ear.done.wait(ideal * _PATIENCE):
            raise StackError(f"{len(ear.heard)} of {requests} were done after {ideal * _PATIENCE:g} s")
        heard_by_provider = stats(rig.provider_port)
        return Held(
            requests=requests,
            in_flight=in_flight,
            most_open=heard_by_provider.most_open,
            provider_s=provider_s,
            ideal_s=ideal,
            wall_s=round((ear.last_ns - heard_by_provider.first_asked_ns) / 1e9, 2),
            peak_rss_mb=round(peak_rss_mb(pid), 1),
            cpu_us_per_call=round((cpu_s(pid) - before_s) / requests * 1e6, 1),
            repeated=ear.repeated,
            looks=watched.looks,
            disturbed=watched.disturbed,
        )
    finally:
        watched.stop()
        ear.stop()

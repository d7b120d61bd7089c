"""What a run found, as the JSON that is kept: every figure with its rounds, and the ratios that are held to targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from scripts.bench.figure import Figure, by_round, figure, quantile
from scripts.bench.latency import LatencyRounds, added_ms, breakdown
from scripts.bench.load.job import Heard
from scripts.bench.plan import Contender, Plan, Series
from scripts.bench.provider.capacity import Capacity
from scripts.bench.rig import APART, OURS
from scripts.bench.throughput import Rounds

MILLRACE: Final[tuple[Contender, ...]] = ("millrace", "millrace_misses", "millrace_hits")
SCHEMA: Final = 1
_OF_LATENCY: Final[tuple[Series, Series]] = ("millrace", "hops")
_NO_ROUNDS: Final = "there was no round of it in this run"


@dataclass(frozen=True, slots=True)
class Findings:
    """`missing` says why a part was not measured."""

    plan: Plan
    seed: int
    started_at_ms: int
    machine: Mapping[str, Any]
    capacity: Capacity
    throughput: Rounds
    latency: LatencyRounds
    missing: Mapping[str, str] = field(default_factory=dict[str, str])


def processes(name: Contender) -> tuple[str, ...]:
    """Whose CPU a request of this contender costs: not the broker's, the provider's or ClickHouse's."""
    return OURS if name in MILLRACE else (name,)


def as_json(found: Findings) -> dict[str, Any]:
    ratios = _ratios(found)
    medians = {name: None if ratio is None else round(ratio.median, 4) for name, ratio in ratios.items()}
    return {
        "schema": SCHEMA,
        "plan": found.plan.model_dump(mode="json"),
        "seed": found.seed,
        "started_at_ms": found.started_at_ms,
        "machine": dict(found.machine),
        "ratios": medians,
        "ratios_by_round": {name: _json(ratio) for name, ratio in ratios.items()},
        "missing": {**found.missing, **{name: _NO_ROUNDS for name, ratio in ratios.items() if ratio is None}},
        "provider": {
            "answers_per_s": round(found.capacity.answers_per_s),
            "answers_per_cpu_s": round(found.capacity.answers_per_cpu_s),
        },
        "throughput": {name: _throughput(name, rounds) for name, rounds in found.throughput.items() if rounds},
        "stages": stages(found.throughput),
        "latency": {name: _latency(name, rounds, found.plan) for name, rounds in found.latency.items() if rounds},
    }


def cpu_us(name: Contender, rounds: Sequence[Heard]) -> list[float]:
    """CPU of the contender's processes for each request, by round."""
    return [heard.cpu_us(*processes(name)) for heard in rounds]


def stages(throughput: Rounds) -> dict[str, Any]:
    """CPU of each of our processes for each request, and as a share of the floor's whole request in the same round."""
    rounds, floor = throughput.get("millrace", []), throughput.get("floor", [])
    found: dict[str, Any] = {}
    for name in OURS if rounds else ():
        used = [heard.cpu_us(name) for heard in rounds]
        found[name] = {"cpu_us": _json(figure(used)), "to_floor": _json(by_round(used, cpu_us("floor", floor)))}
    return found


def _ratios(found: Findings) -> dict[str, Figure | None]:
    rounds = found.throughput
    ours, floor, litellm = (rounds.get(name, []) for name in ("millrace", "floor", "litellm"))
    ours_us, floor_us = cpu_us("millrace", ours), cpu_us("floor", floor)
    return {
        "cpu_per_request_to_floor": by_round(ours_us, floor_us),
        "throughput_to_floor": by_round([heard.per_second for heard in ours], [heard.per_second for heard in floor]),
        "requests_per_cpu_second_to_litellm": by_round(cpu_us("litellm", litellm), ours_us),
        "added_latency_p50_to_hops": _to_hops(found, 0.5),
        "added_latency_p99_to_hops": _to_hops(found, 0.99),
    }


def _to_hops(found: Findings, share: float) -> Figure | None:
    ours, hops = (_added(name, found.latency.get(name, []), found.plan, share) for name in _OF_LATENCY)
    return by_round(ours, hops)


def _throughput(name: Contender, rounds: Sequence[Heard]) -> dict[str, Any]:
    apart = {each: _json(figure(heard.cpu_us(each) for heard in rounds)) for each in APART}
    found = {
        "requests": rounds[0].sent,
        "requests_per_s": _json(figure(heard.per_second for heard in rounds)),
        "cpu_us_per_request": _json(figure(cpu_us(name, rounds))),
        "requests_per_cpu_s": _json(figure(1e6 / used for used in cpu_us(name, rounds) if used)),
        "apart_cpu_us_per_request": apart,
    }
    if name not in MILLRACE:
        idle = figure(sum(heard.cpu_s[each] for each in OURS) / heard.wall_s for heard in rounds)
        found["millrace_idle_cpu_s_per_s"] = _json(idle)
    return found


def _latency(name: Series, rounds: Sequence[Heard], plan: Plan) -> dict[str, Any]:
    found = {f"p{share * 100:g}_ms": _json(figure(_added(name, rounds, plan, share))) for share in (0.5, 0.95, 0.99)}
    answers = [each for heard in rounds for each in heard.answers]
    late = figure(heard.generator_late_ms for heard in rounds)
    parts = {} if name == "hops" else {f"p{share * 100:g}": breakdown(answers, share) for share in (0.5, 0.99)}
    return {**found, "answers": len(answers), "generator_late_p99_ms": _json(late), "parts_ms": parts}


def _added(name: Series, rounds: Sequence[Heard], plan: Plan, share: float) -> list[float]:
    added = [added_ms(name, heard, plan.provider_latency_ms) for heard in rounds]
    return [quantile(values, share) for values in added if values]


def _json(found: Figure | None) -> dict[str, Any] | None:
    return None if found is None else found.as_json()

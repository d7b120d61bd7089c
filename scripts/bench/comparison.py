"""One run from start to end: everything is started, everybody measured in turn, and what was found is written down."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from scripts.bench import latency, throughput
from scripts.bench.contenders.litellm import NotInstalled, Proxy, installed
from scripts.bench.machine import machine
from scripts.bench.plan import Contender, Plan
from scripts.bench.provider.capacity import capacity
from scripts.bench.result import Findings, as_json
from scripts.bench.rig import Rig, Shape
from streams.clock import now_ms


def compare(plan: Plan, seed: int, folder: Path, raw: Path, step: Callable[[str], None]) -> dict[str, Any]:
    """The result's JSON. Raises StackError, or what the load has to say. Nothing that it started outlives it."""
    started_at_ms, facts, missing = now_ms(), machine(), dict[str, str]()
    proxy = None
    if "litellm" in plan.requests:
        step("looking for LiteLLM")
        proxy = _litellm(plan, missing)
    contenders: list[Contender] = [name for name in plan.requests if name != "litellm" or proxy is not None]
    with Rig(folder, Shape(seed=seed, in_flight=plan.in_flight), step) as rig:
        step("how much the provider can do")
        could = capacity(rig.provider_port, rig.provider_pid, plan.capacity_s)
        rounds = throughput.measure(rig, plan, contenders, proxy, raw, step)
        delays = latency.measure(rig, plan, raw, step)
    return as_json(Findings(plan, seed, started_at_ms, facts, could, rounds, delays, missing))


def write(result: dict[str, Any], path: Path) -> None:
    """Indented: it is committed, and a difference should be readable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2) + b"\n")


def _litellm(plan: Plan, missing: dict[str, str]) -> Proxy | None:
    try:
        return installed(may_install=plan.name == "full")
    except NotInstalled as error:
        missing["litellm"] = str(error)
        return None

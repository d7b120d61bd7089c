"""A real hour, faster: every request of a trace at its time, with prompts and answers of its lengths."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.bench.load.job import Job
from scripts.bench.machine import machine
from scripts.bench.mix import Mix
from scripts.bench.plan import QUICK
from scripts.bench.provider.pace import Pace
from scripts.bench.rig import Rig, Shape
from scripts.bench.trace import Arrival, added_ms, by_minute, due_s, quantiles, queue_ms
from scripts.stack.errors import StackError


def replay(
    arrivals: list[Arrival],
    speed: float,
    pace: Pace,
    shape: Shape,
    folder: Path,
    raw: Path,
    step: Callable[[str], None],
) -> dict[str, Any]:
    """Raises StackError when a request has no answer, or two."""
    facts = machine()
    with Rig(folder, shape, step) as rig:
        rig.set_pace(Pace(latency_ms=10))
        step("warming up")
        rig.carry_out(rig.job(Mix(name="warm", count=QUICK.warm_up), rig.millrace_door(), {}), folder / "warm.json")
        rig.set_pace(pace)
        mix = Mix(
            name="replay",
            count=len(arrivals),
            prompt_tokens=[each.prompt_tokens for each in arrivals],
            answer_tokens=[each.answer_tokens for each in arrivals],
        )
        due = due_s(arrivals, speed)
        step(f"{len(arrivals)} requests in {due[-1]:.0f} s")
        heard = rig.carry_out(
            Job(mix=mix, due_s=due, door=rig.millrace_door(), pids=rig.pids(), is_detailed=True, quiet_s=120), raw
        )
    if heard.lost or heard.repeated:
        raise StackError(f"{heard.lost} requests had no answer, {heard.repeated} more than one")
    return {
        "machine": facts,
        "speed": speed,
        "provider": pace.model_dump(mode="json"),
        "in_flight": shape.in_flight,
        "requests": heard.sent,
        "lost": heard.lost,
        "answered_twice": heard.repeated,
        "generator_late_p99_ms": heard.generator_late_ms,
        "wall_s": round(heard.wall_s, 1),
        "cpu_s": heard.cpu_s,
        "added_ms": quantiles([added_ms(arrivals[each.number], each, pace) for each in heard.answers]),
        "queue_ms": quantiles([queue_ms(each) for each in heard.answers]),
        "minutes": by_minute(arrivals, heard.answers, pace),
    }

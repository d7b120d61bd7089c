"""A flame graph of one stage while it works through a backlog."""

import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT, run
from typing import Final

from scripts.bench.mix import Mix
from scripts.bench.plan import QUICK
from scripts.bench.provider.pace import Pace
from scripts.bench.rig import OURS, Rig, Shape
from scripts.stack.errors import StackError
from scripts.stack.process import Command, spawn

PER_SECOND: Final = 200
"""Samples; more take so much of the second core that the stage is held up."""
_LONG_ENOUGH: Final = 4_000
"""Requests for each second of sampling: no stage is faster than that with all others beside it."""


def flame(stage: str, seconds: int, seed: int, folder: Path, svg: Path, step: Callable[[str], None]) -> None:
    """Writes the SVG. Raises StackError, also where py-spy may not look at another process."""
    if stage not in OURS:
        raise StackError(f"there is no stage {stage}: choose one of {', '.join(OURS)}")
    svg.parent.mkdir(parents=True, exist_ok=True)
    with Rig(folder, Shape(seed=seed), step) as rig:
        rig.set_pace(Pace(latency_ms=QUICK.throughput_latency_ms))
        step("warming up")
        rig.carry_out(rig.job(Mix(name="warm", count=QUICK.warm_up), rig.millrace_door(), {}), folder / "warm.json")
        step(f"sampling {stage} for {seconds} s")
        job = rig.job(Mix(name="flame", count=_LONG_ENOUGH * seconds), rig.millrace_door(), {})
        job_file = folder / "flame.job.json"
        job_file.write_text(job.model_dump_json())
        command = [sys.executable, "-m", "scripts.bench.load", str(job_file), str(folder / "flame.json")]
        load = spawn(Command(command, rig.stack.layout.log("load")))
        try:
            _record(rig.pids()[stage], seconds, stage, svg)
        finally:
            load.kill()


def _record(pid: int, seconds: int, stage: str, svg: Path) -> None:
    program = Path(sys.executable).with_name("py-spy")
    command = [str(program), "record", "--pid", str(pid), "--duration", str(seconds), "--rate", str(PER_SECOND)]
    done = run(  # noqa: S603  # our own words
        # who waits in a system call does not hold the lock, and is no work
        [*command, "--gil", "--output", str(svg)],
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        text=True,
        check=False,
    )
    if done.returncode or not svg.exists():
        last = done.stdout.strip().splitlines()[-1:] or ["it did not say why"]
        raise StackError(f"py-spy could not sample {stage}: {last[0]} (it needs root, or ptrace_scope 0)")

"""The two processes beside the system: one asks, the other believes nobody."""

import sys
from collections.abc import Mapping
from typing import Final

from scripts.chaos.plan import RunPlan
from scripts.chaos.verdict import Invariant, Verdict, judged, read_verdict
from scripts.stack.process import Child, Command, spawn

_LOAD_ENDS_WITHIN_S: Final = 60.0
_VERDICT_WITHIN_S: Final = 180.0


class Companions:
    """Both are killed by `kill`, if they still run then."""

    def __init__(self, plan: RunPlan, environment: Mapping[str, str]) -> None:
        self._plan = plan
        self._environment = environment
        self._verifier = self._spawn("verify")
        self._load = self._spawn("load", "--rate", f"{plan.rate:g}", "--seed", str(plan.seed))

    @property
    def at_work(self) -> bool:
        return self._load.running and self._verifier.running

    def end_load(self) -> tuple[int, Invariant]:
        """Its exit status, and that both worked until now: without them nothing is proved."""
        wrong = [
            f"the {name} ended early with status {child.exit_status}: see {self._plan.layout.log(name)}"
            for name, child in (("load", self._load), ("verify", self._verifier))
            if not child.running
        ]
        early = not self._load.running
        status = self._load.stop(_LOAD_ENDS_WITHIN_S)
        if status and not early:
            wrong.append(f"the load ended with status {status}: see {self._plan.layout.log('load')}")
        return status, judged("load and verifier worked to the end", 2, wrong)

    def verdict(self) -> Verdict | None:
        """As it is now."""
        return read_verdict(self._plan.file("verdict.json"))

    def final_verdict(self) -> tuple[Invariant, ...]:
        """What the verifier found when it had read everything once more."""
        self._verifier.stop(_VERDICT_WITHIN_S)
        verdict = self.verdict()
        log = self._plan.layout.log("verify")
        wrong = [] if verdict is not None and verdict.state == "final" else [f"there is none: see {log}"]
        return (judged("the verifier came to a verdict", 1, wrong), *(verdict.invariants if verdict else ()))

    def kill(self) -> None:
        self._load.kill()
        self._verifier.kill()

    def _spawn(self, name: str, *arguments: str) -> Child:
        folder = str(self._plan.layout.folder)
        argv = [sys.executable, "-m", f"scripts.chaos.{name}", "--run-folder", folder, *arguments]
        return spawn(Command(argv, self._plan.layout.log(name), env=self._environment))

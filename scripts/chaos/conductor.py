"""One run from start to end: the system, the load, the verifier, the faults at their times, and what came of it."""

import shutil
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from scripts.chaos.attack import Attack
from scripts.chaos.baseline import compared, no_lag
from scripts.chaos.checked import all_checked
from scripts.chaos.companions import Companions
from scripts.chaos.deaths import Deaths
from scripts.chaos.journal import Heard, Journal
from scripts.chaos.network.gates import Gates
from scripts.chaos.plan import RunPlan
from scripts.chaos.schedule import BROKERS, CALM_BEFORE_S, COPIES, SESSION_S
from scripts.chaos.system import System, broker_name
from scripts.chaos.verdict import Invariant, Verdict, judged, read_verdict
from scripts.chaos.watcher import Watcher
from scripts.local.layout import RUN_FOLDER
from scripts.local.parts import Wishes
from scripts.local.stack import LocalStack
from scripts.stack.backoff import Backoff
from scripts.stack.errors import StackError
from scripts.stack.lock import exclusive
from scripts.stack.supervisor import Supervisor
from streams.clock import now_ms
from streams.settings import KafkaSettings

CONFIG: Final = Path(__file__).with_name("load") / "millrace.toml"
SETTLES_WITHIN_S: Final = 120.0
RETURNS_WITHIN_S: Final = 60.0
BYTECODE: Final = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str((RUN_FOLDER / "bytecode").resolve())}
"""Kept between runs, as installed processes have it. Compiled at every start, the providers' SDKs alone take `invoke`
four seconds of a core, which on a busy machine is most of a minute."""
_LOOK_S: Final = 0.5
_RESTARTS: Final = Backoff(first_s=0.3, factor=1.5, cap_s=2, forgive_after_s=10)


class Run:
    """`attack` and `watcher` are None until they have begun."""

    def __init__(self, plan: RunPlan, announce: Callable[[str], None], heard: Heard | None = None) -> None:
        self.plan = plan
        self.attack: Attack | None = None
        self.watcher: Watcher | None = None
        self._announce = announce
        self._heard = heard

    def verdict(self) -> Verdict | None:
        return read_verdict(self.plan.file("verdict.json"))

    def carry_out(self) -> list[Invariant]:
        """Everything there is to be said about the run.

        Raises StackError when the system did not start, or the same run is under way. Nothing it started outlives it,
        however it ends.
        """
        plan = self.plan
        with ExitStack() as held:
            held.enter_context(_own_folder(plan))
            journal = held.enter_context(Journal(plan.file("journal.jsonl"), now_ms, self._heard))
            deaths = Deaths(journal, plan.layout.log)
            gates = held.enter_context(Gates())
            supervisor = Supervisor(backoff=_RESTARTS, on_change=deaths)
            stack = LocalStack(plan.layout, _wishes(plan), self._announce, supervisor=supervisor, doors=gates)
            system = System(held.enter_context(stack), gates, journal, deaths)
            held.callback(stack.abandon)
            held.callback(journal.close)  # what ends from here on is no fault
            for broker in stack.brokers:
                deaths.started(broker_name(broker), broker.pid)
            self.watcher = Watcher(system, plan.file("observations.jsonl"), now_ms)
            held.callback(self.watcher.stop)
            companions = Companions(plan, stack.environment)
            held.callback(companions.kill)
            found = self._under_load(system, companions, self.watcher)
            journal.write(event="ended", verdict="violated" if any(each.violations for each in found) else "held")
            return found

    def _under_load(self, system: System, companions: Companions, watcher: Watcher) -> list[Invariant]:
        plan, journal = self.plan, system.journal
        ready = system.pids()
        started_ms, start_s = now_ms(), time.monotonic()
        journal.write(event="started", seed=plan.seed, minutes=plan.minutes, rate=plan.rate, pids=ready)
        self.attack = Attack(system, plan.schedule, start_s)
        try:
            _wait(start_s + plan.minutes * 60, lambda: not companions.at_work)
        finally:
            self.attack.call_off()
        attacked = self.attack.end()
        status, worked = companions.end_load()
        journal.write(event="load_ended", exit_status=status)
        settled = self._settle(system, companions, watcher)
        before = watcher.between(started_ms, started_ms + int(CALM_BEFORE_S * 1000))

        def baseline() -> list[Invariant]:
            return [*compared(ready, before, after := watcher.look()), no_lag(after)]

        self._announce("waiting until memory, threads and files are back")
        returned = baseline()  # idle connections of a burst are closed after a while
        deadline_s = time.monotonic() + RETURNS_WITHIN_S
        while any(each.violations for each in returned) and time.monotonic() < deadline_s:
            time.sleep(_LOOK_S)
            returned = baseline()
        self._announce("reading everything once more")
        ended = system.deaths.judged()
        verdict = companions.final_verdict()
        return [worked, *attacked, ended, settled, *returned, *verdict, all_checked(plan.minutes, verdict)]

    def _settle(self, system: System, companions: Companions, watcher: Watcher) -> Invariant:
        """Left alone until nothing is left to do, or the deadline is over."""
        system.gates.heal()
        system.start_ended_brokers()
        self._announce("waiting until everything has been answered")

        def nothing_left() -> bool:
            verdict = companions.verdict()
            lag = watcher.latest.lag if watcher.latest is not None else None
            return verdict is not None and verdict.state == "settled" and lag is not None and not any(lag.values())

        in_time = _wait(time.monotonic() + SETTLES_WITHIN_S, nothing_left)
        system.journal.write(event="settled", in_time=in_time)
        late = [] if in_time else [f"something was left to do {SETTLES_WITHIN_S:g} s after the load had ended"]
        return judged("everything is answered, stored and committed in time", 1, late)


@contextmanager
def _own_folder(plan: RunPlan) -> Generator[None]:
    """Emptied, and nobody else's meanwhile: two runs of one seed share it. Raises StackError."""
    folder = plan.layout.folder
    with ExitStack() as held:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(exclusive(folder.with_suffix(".lock"), wait=False))
            shutil.rmtree(folder, ignore_errors=True)
            plan.layout.prepare()
        except BlockingIOError:
            raise StackError(f"seed {plan.seed} is being run here already: wait for it, or take another") from None
        except OSError as error:
            raise StackError(f"{folder} cannot be used: {error}") from error
        yield


def _wait(until_s: float, sooner: Callable[[], bool]) -> bool:
    """Whether `sooner` held before the time was up."""
    while not sooner():
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            return False
        time.sleep(min(_LOOK_S, left_s))
    return True


def _wishes(plan: RunPlan) -> Wishes:
    return Wishes(
        tuning=BYTECODE,
        config=CONFIG,
        workers=COPIES,
        sinks=COPIES,
        brokers=BROKERS,
        heap_mb=256,
        simulator=("--seed", str(plan.seed), "--latency-ms", "250", "--ttft-ms", "80", "--tokens-per-s", "400"),
        kafka=KafkaSettings(
            partitions=6,
            replication=3,
            min_insync=2,
            session_timeout_ms=SESSION_S * 1000,
            delivery_timeout_ms=SESSION_S * 600,
        ),
    )

"""One run from start to end: the system, the load, the verifier, the faults at their times, and what came of it."""

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread
from typing import Final

from scripts.chaos.baseline import compared, no_lag
from scripts.chaos.deaths import Deaths
from scripts.chaos.journal import Heard, Journal
from scripts.chaos.kinds import LANES
from scripts.chaos.lane import Lane
from scripts.chaos.network.gates import Gates
from scripts.chaos.plan import RunPlan
from scripts.chaos.schedule import BROKERS, CALM_BEFORE_S, COPIES, SESSION_S
from scripts.chaos.system import System, broker_name
from scripts.chaos.verdict import Invariant, Verdict, read_verdict
from scripts.chaos.watcher import Watcher
from scripts.local.parts import Wishes
from scripts.local.stack import LocalStack
from scripts.stack.backoff import Backoff
from scripts.stack.process import Child, Command, spawn
from scripts.stack.supervisor import Supervisor
from streams.clock import now_ms
from streams.settings import KafkaSettings

CONFIG: Final = Path(__file__).with_name("load") / "millrace.toml"
_SETTLES_WITHIN_S: Final = 120.0
_LOAD_ENDS_WITHIN_S: Final = 60.0
_VERDICT_WITHIN_S: Final = 180.0
_LOOK_S: Final = 0.5
_RESTARTS: Final = Backoff(first_s=0.3, factor=1.5, cap_s=2, forgive_after_s=10)


class Run:
    """`tick` is called about twice a second while a run waits for something."""

    def __init__(self, plan: RunPlan, announce: Callable[[str], None], heard: Heard | None = None) -> None:
        self.plan = plan
        self.lanes: Sequence[Lane] = ()
        self.watcher: Watcher | None = None
        self._announce = announce
        self._heard = heard
        self._stop = Event()

    def verdict(self) -> Verdict | None:
        return read_verdict(self.plan.file("verdict.json"))

    def carry_out(self, tick: Callable[[], None]) -> list[Invariant]:
        """Everything there is to be said about the run. Raises StackError when it could not be made."""
        plan = self.plan
        shutil.rmtree(plan.layout.folder, ignore_errors=True)
        plan.layout.prepare()
        with ExitStack() as held:
            journal = held.enter_context(Journal(plan.file("journal.jsonl"), now_ms, self._heard))
            deaths = Deaths(journal)
            gates = held.enter_context(Gates())
            supervisor = Supervisor(backoff=_RESTARTS, on_change=deaths)
            stack = LocalStack(plan.layout, _wishes(plan), self._announce, supervisor=supervisor, doors=gates)
            system = System(held.enter_context(stack), gates, journal, deaths)
            held.callback(stack.abandon)
            held.callback(journal.close)  # what ends from here on is no fault
            self.watcher = Watcher(system, plan.file("observations.jsonl"), now_ms)
            held.callback(self.watcher.stop)
            for broker in stack.brokers:
                deaths.started(broker_name(broker), broker.pid)
            return self._under_load(system, held, tick)

    def _under_load(self, system: System, held: ExitStack, tick: Callable[[], None]) -> list[Invariant]:
        plan, journal = self.plan, system.journal
        verifier = self._program(system, held, "verify")
        load = self._program(system, held, "load", "--rate", f"{plan.rate:g}", "--seed", str(plan.seed))
        started_ms, start_s = now_ms(), time.monotonic()
        journal.write(event="started", seed=plan.seed, minutes=plan.minutes, rate=plan.rate, pids=system.pids())
        held.callback(self._stop.set)
        faults = self._start_lanes(system, start_s)
        self._wait(start_s + plan.minutes * 60, tick, lambda: not load.running or not verifier.running)
        self._stop.set()
        for each in faults:
            while each.is_alive():
                each.join(_LOOK_S)
                tick()
        failures = [failure for lane in self.lanes for failure in lane.failures]
        carried_out = sum(lane.carried_out for lane in self.lanes)
        harness = [
            self._end_load(journal, load, verifier),
            _invariant("what was broken works again", carried_out, failures),
        ]
        in_time = self._settle(system, tick)
        journal.write(event="settled", in_time=in_time)
        assert self.watcher is not None  # noqa: S101  # set before the load began
        before = self.watcher.between(started_ms, started_ms + int(CALM_BEFORE_S * 1000))
        after = [self.watcher.look()]
        verdict = self._final_verdict(verifier)
        if verdict is None or verdict.state != "final":
            harness.append(_invariant("the verifier came to a verdict", 1, [f"see {plan.layout.log('verify')}"]))
        late = [] if in_time else [f"something was left to do {_SETTLES_WITHIN_S:g} s after the load had ended"]
        found = [
            *harness,
            _invariant("everything is answered, stored and committed in time", 1, late),
            *compared(before, after),
            no_lag(after),
            *(verdict.invariants if verdict else ()),
        ]
        journal.write(event="ended", verdict="violated" if any(each.violations for each in found) else "held")
        return found

    def _program(self, system: System, held: ExitStack, name: str, *arguments: str) -> Child:
        folder = str(self.plan.layout.folder)
        argv = [sys.executable, "-m", f"scripts.chaos.{name}", "--run-folder", folder, *arguments]
        child = spawn(Command(argv, self.plan.layout.log(name), env=system.stack.environment))
        held.callback(child.kill)
        return child

    def _start_lanes(self, system: System, start_s: float) -> list[Thread]:
        drawn = self.plan.schedule
        by_lane = [[each for each in drawn if each.lane == lane] for lane in LANES]
        self.lanes = [Lane(system, planned, start_s, self._stop) for planned in by_lane]
        threads = [Thread(target=lane.run, name="faults", daemon=True) for lane in self.lanes]
        for thread in threads:
            thread.start()
        return threads

    def _wait(self, until_s: float, tick: Callable[[], None], sooner: Callable[[], bool]) -> None:
        while (left_s := until_s - time.monotonic()) > 0 and not sooner():
            time.sleep(min(_LOOK_S, left_s))
            tick()

    def _end_load(self, journal: Journal, load: Child, verifier: Child) -> Invariant:
        """That the load and the verifier worked until now is an invariant: without them nothing is proved."""
        wrong: list[str] = []
        if not load.running:
            wrong.append(f"the load ended early with status {load.exit_status}: see {self.plan.layout.log('load')}")
        status = load.stop(_LOAD_ENDS_WITHIN_S)
        journal.write(event="load_ended", exit_status=status)
        if status:
            wrong.append(f"the load ended with status {status}: see {self.plan.layout.log('load')}")
        if not verifier.running:
            wrong.append(
                f"the verifier ended early with status {verifier.exit_status}: see {self.plan.layout.log('verify')}"
            )
        return _invariant("load and verifier worked to the end", 2, wrong)

    def _settle(self, system: System, tick: Callable[[], None]) -> bool:
        """Everything is healed, and left alone until nothing is left to do or the deadline is over."""
        system.gates.heal()
        system.start_ended_brokers()
        self._announce("waiting until everything has been answered")
        settled = False

        def nothing_left() -> bool:
            nonlocal settled
            verdict = self.verdict()
            seen = self.watcher.latest if self.watcher is not None else None
            settled = (
                verdict is not None
                and verdict.state == "settled"
                and seen is not None
                and seen.lag is not None
                and not any(seen.lag.values())
            )
            return settled

        self._wait(time.monotonic() + _SETTLES_WITHIN_S, tick, nothing_left)
        return settled

    def _final_verdict(self, verifier: Child) -> Verdict | None:
        self._announce("reading everything once more")
        verifier.stop(_VERDICT_WITHIN_S)
        return self.verdict()


def _wishes(plan: RunPlan) -> Wishes:
    return Wishes(
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


def _invariant(name: str, checks: int, wrong: list[str]) -> Invariant:
    return Invariant(name=name, checks=checks, violations=len(wrong), examples=tuple(wrong))

"""One schedule from its seed to its verdict."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException

from streams.runtime.outbox import DeliveryFailedError
from streams.runtime.restore import RestoreStalledError
from streams.runtime.worker import DrainTimeoutError
from tests.fakes.kafka.timeline import Timeline
from tests.simulated.burials import buried
from tests.simulated.faults import Fault, Faults
from tests.simulated.ledger import Ledger
from tests.simulated.scenario import Scenario
from tests.simulated.scheduler import Scheduler, Temper
from tests.simulated.world import World
from tests.unit.examples import NOW_MS

EXPECTED_ENDS = (KafkaException, KafkaError, DeliveryFailedError, DrainTimeoutError, RestoreStalledError)
"""What a worker may end with in bad times: its process is started again."""
MOST_WORKERS = 3
MOST_STEPS = 60_000
ROUGH_STEPS = 1_500
"""Turns in which faults may strike."""
FOLLOWED_WITHIN_MS = 60_000
DONE_WITHIN_MS = 300_000
"""Once nothing is broken any more: far less than what a question is waited for that nobody asks."""


@dataclass(slots=True)
class Verdict:
    seed: int
    scenario: str
    steps: int = 0
    faults: Counter[Fault] = field(default_factory=Counter[Fault])
    violations: list[str] = field(default_factory=list[str])
    trace: list[str] = field(default_factory=list[str])


def temper(random: Random) -> Temper:
    rough = random.choice((0.0, 0.02, 0.2))
    return Temper(
        mishaps={
            "fetch waits": random.choice((0.0, 0.3)),
            "serves less": random.choice((0.0, 0.3)),
            "end unknown": random.choice((0.0, 0.3)),
            "leader replaced": rough,
            "reply lost": rough,
            "queue full": rough / 4,
            "sent late": 0.5,
            "told as lost": 0.5,
            "stays fetched": 0.5,
        },
        slow=random.choice((0.0, 0.01, 0.1)),
        dawdle=random.choice((0.0, 0.05, 0.3)),
    )


class Schedule:
    def __init__(self, seed: int, scenario: Scenario, *, trace: bool = False) -> None:
        self._random = Random(seed)  # noqa: S311  # chance that can be repeated is the point
        self._scenario = scenario
        self._timeline = Timeline(NOW_MS)
        self._scheduler = Scheduler(self._timeline, self._random, temper(self._random))
        self._verdict = Verdict(seed, scenario.name)
        self._scheduler.trace = self._verdict.trace if trace else None
        self._world = World(scenario.part, self._random, self._scheduler, self._timeline)
        self._ledger = Ledger(
            self._world.cluster,
            self._world.kafka,
            scenario.outcomes,
            lambda stored: scenario.leaves_nothing(self._world, stored),
            self._world.unfit,
        )
        self._faults = Faults(
            self._scheduler,
            rate=self._random.choice((0.002, 0.01, 0.03)),
            most=self._random.randint(0, 8),
            broken=self._world.broke,
            stop=self._world.stop,
            start=self._start,
            jump=self._world.jump,
        )

    def run(self) -> Verdict:
        self._scenario.feed(self._world)
        for _ in range(self._random.randint(1, 2)):
            self._world.start()
        self._work()
        if not self._violations and self._scenario.part.tables:
            self._compare_states()
        if not self._violations:
            self._violations.extend(self._scenario.judge(self._world))
            self._violations.extend(buried(self._world, self._ledger))
        self._verdict.steps = self._scheduler.steps
        self._verdict.faults = self._faults.happened
        for task in list(self._scheduler.tasks):
            self._scheduler.kill(task)
        return self._verdict

    @property
    def _violations(self) -> list[str]:
        return self._verdict.violations

    def _start(self) -> None:
        if len(self._world.alive()) < MOST_WORKERS:
            self._world.start()

    def _work(self) -> None:
        calm_ms: int | None = None
        for turn in range(MOST_STEPS):
            if turn < ROUGH_STEPS and not self._faults.are_over:
                self._faults.maybe()
            elif calm_ms is None:
                calm_ms = self._timeline.now_ms
            elif self._is_quiet():
                took_ms = self._timeline.now_ms - calm_ms
                # not of `invoke`: its event loops, idle, let an hour pass in one step
                if took_ms > DONE_WITHIN_MS and self._scenario.part.tables:
                    self._violations.append(f"it took {took_ms} ms to do what was left when all was well again")
                return
            if not self._world.alive():
                self._world.start()
            self._turn()
            if self._violations:
                return
        self._violations.append(f"not everything is done after {MOST_STEPS} steps")

    def _turn(self) -> None:
        self._scheduler.turn()
        self._violations.extend(self._ledger.violations)
        self._violations.extend(self._world.wrong)
        for process in self._world.workers:
            failure = process.failure
            if process.host.is_up and not process.is_alive:
                process.host.end()
                if failure is not None:
                    self._world.broke(process.host, self._timeline.now_ms, self._timeline.now_ms)
                if failure is not None and not isinstance(failure, EXPECTED_ENDS):
                    self._violations.append(f"{process.host.name} ended with {failure!r}")

    def _is_quiet(self) -> bool:
        """Nothing is left to do, and where there is state, every partition's is held once."""
        if not self._scenario.part.tables or not self._world.is_settled():
            return self._world.is_settled()
        held = self._world.states()
        return len(held) == self._world.kafka.partitions and all(len(states) == 1 for states in held.values())

    def _compare_states(self) -> None:
        self._compare("the workers' state")
        for process in self._world.alive():
            process.stop.set()
        while self._world.alive():
            self._turn()
        self._world.start()
        while not self._is_quiet() and not self._violations:
            self._turn()
        self._compare("a restored state")

    def _compare(self, whose: str) -> None:
        """Tables that others write to are followed to their end in bounded time."""
        until_ms = self._timeline.now_ms + FOLLOWED_WITHIN_MS
        while (difference := self._difference()) and self._timeline.now_ms < until_ms and not self._violations:
            self._turn()
        if difference:
            self._violations.append(f"{whose}: {difference}")

    def _difference(self) -> str | None:
        folded = self._world.folded()
        for partition, (state, *_) in self._world.states().items():
            if partition in folded:
                mine, logged = (self._scenario.picture(self._world, each) for each in (state, folded[partition]))
                if mine != logged:
                    return f"partition {partition} is {mine}, the log says {logged}"
        return None

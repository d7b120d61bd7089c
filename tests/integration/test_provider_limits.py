"""Two workers, one provider with a limit: together they use all of it and never once have to be told to wait."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from msgspec.structs import replace

from schemas.control import ProviderLimits
from schemas.flow import Completion
from schemas.topics import COMPLETIONS, CONTROL, DISPATCH
from scripts.simulator.process import RunningSimulator, start_simulator
from scripts.simulator.settings import SimulatorSettings
from scripts.stack.readiness import holds_within
from streams.settings import KafkaSettings
from tests.integration.invoke_bench import InvokeBench
from tests.integration.kafka_log import WITHIN_S
from tests.integration.stage_process import StageProcess
from tests.unit.examples import deployment, dispatch, ticket

pytestmark = pytest.mark.integration
PER_MINUTE = 900
PER_S = PER_MINUTE / 60
KEY = "sk-limited"
MODEL = "gpt-4o-mini"


@pytest.fixture
def simulator() -> Iterator[RunningSimulator]:
    with start_simulator(SimulatorSettings(requests_per_minute=PER_MINUTE, answer_tokens=5)) as running:
        yield running


@pytest.fixture
def bench(kafka: KafkaSettings, simulator: RunningSimulator) -> Iterator[InvokeBench]:
    """Its deployment says what the simulator allows."""
    hasty = kafka.model_copy(update={"session_timeout_ms": 6_000, "delivery_timeout_ms": 2_500})
    with InvokeBench(hasty) as bench:
        bench.prepare()
        allowed = deployment(
            models={"gpt-5-mini": MODEL},
            base_url=simulator.openai_url,
            limits=ProviderLimits(requests_per_minute=PER_MINUTE),
        )
        bench.log.write(CONTROL, allowed, key="deployment/openai-1")
        bench.log.flush()
        yield bench


@pytest.fixture
def start(
    bench: InvokeBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], StageProcess]]:
    """A worker of `invoke` by that name, that is gone in the end."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    started: list[StageProcess] = []

    def start(name: str) -> StageProcess:
        started.append(StageProcess(bench, tmp_path / name, "invoke"))
        return started[-1]

    yield start
    for worker in started:
        worker.child.stop(WITHIN_S)


def use_up(simulator: RunningSimulator) -> None:
    """All that a minute without calls has left over, but for what comes back in a second."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
    with httpx2.Client(headers={"authorization": f"Bearer {KEY}"}) as client:
        left = PER_MINUTE
        while left > PER_S:
            told = client.post(f"{simulator.openai_url}/chat/completions", json=body)
            left = int(told.headers["x-ratelimit-remaining-requests"])


def refusals(simulator: RunningSimulator) -> int:
    stats: dict[str, Any] = httpx2.get(f"{simulator.base_url}/_control/stats").json()
    return stats["statuses"].get("429", 0)


def ask(bench: InvokeBench, count: int) -> None:
    """Evenly on both partitions."""
    for partition in (0, 1):
        for name in bench.ids(partition, count // 2):
            event = dispatch(ticket_=ticket(name))
            (target,) = event.plan.targets
            event = replace(event, plan=replace(event.plan, targets=(replace(target, model=MODEL),)))
            bench.log.write(DISPATCH["normal"], event, key=name, partition=partition)
    bench.log.flush()


def started_ms(bench: InvokeBench) -> list[int]:
    """When each call that was answered began, in order."""
    completions = bench.log.events(COMPLETIONS, Completion)
    assert {each.status for each in completions} <= {"ok"}
    return sorted(attempt.started_at_ms for each in completions for attempt in each.attempts)


def per_s(began_ms: list[int]) -> float:
    return (len(began_ms) - 1) * 1_000 / (began_ms[-1] - began_ms[0])


def test_two_workers_use_all_of_a_limit_without_a_429_and_the_one_that_is_left_has_the_whole(
    bench: InvokeBench, simulator: RunningSimulator, start: Callable[[str], StageProcess]
) -> None:
    one, other = start("one"), start("other")
    assert holds_within(WITHIN_S, lambda: bench.log.members("invoke") == 2)
    assert holds_within(WITHIN_S, lambda: all(w.health() == (200, "running") for w in (one, other)))
    use_up(simulator)

    ask(bench, 200)
    assert holds_within(WITHIN_S, lambda: len(started_ms(bench)) >= 60)
    together = started_ms(bench)
    one.child.kill()
    assert holds_within(2 * WITHIN_S, lambda: len(set(bench.completed())) == 200)
    alone = started_ms(bench)[-50:]

    assert refusals(simulator) == 0, "a worker had to be told"
    assert per_s(together) >= 0.9 * PER_S
    assert per_s(alone) >= 0.9 * PER_S

"""One deployment hangs or is shut, and many more ask for it than its lane has places; others are asked as ever."""

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from schemas.control import Breaker, ControlObject
from schemas.flow import Completion
from schemas.topics import CALLS, COMPLETIONS, CONTROL, DISPATCH
from scripts.stack.readiness import holds_within
from streams.clock import now_ms
from streams.settings import KafkaSettings
from tests.integration.invoke_bench import Desk, InvokeBench
from tests.integration.kafka_log import WITHIN_S
from tests.unit.examples import carried, deployment, dispatch, prompt, ticket

pytestmark = pytest.mark.integration

PLACES = 8
DEAD = [f"dead-{number}" for number in range(12 * PLACES)]
WELL = [f"well-{number}" for number in range(3 * PLACES)]


@pytest.fixture
def bench(kafka: KafkaSettings) -> Iterator[InvokeBench]:
    with InvokeBench(kafka) as bench:
        bench.prepare()
        apply(bench, deployment("dead", max_concurrency=1))
        apply(bench, deployment("well"))
        yield bench


def apply(bench: InvokeBench, configured: ControlObject) -> None:
    bench.log.write(CONTROL, configured, key=f"{configured.kind}/{configured.name}")
    bench.log.flush()


def shut(*, for_ms: int) -> Breaker:
    at_ms = now_ms()
    state = "open" if for_ms else "closed"
    return Breaker(
        name="dead", state=state, until_ms=at_ms + for_ms, failure_share=1, calls=10, p95_ms=0, since_ms=at_ms
    )


def ask(bench: InvokeBench, names: list[str], name: str, *, within_ms: int | None = None) -> None:
    """The deployment of that name, all in one partition, so that they are read in this order."""
    for each in names:
        deadline_ms = None if within_ms is None else now_ms() + within_ms
        event = dispatch(name, ticket_=ticket(each, deadline_ms=deadline_ms), timeout_ms=60_000)
        event = replace(event, prompt=carried(prompt(each)))
        bench.log.write(DISPATCH["normal"], event, key=each, partition=0)
    bench.log.flush()


def ended(bench: InvokeBench) -> list[str]:
    """With status."""
    found = bench.log.events(COMPLETIONS, Completion)
    return [f"{each.ticket.request_id} {each.status}" for each in found]


def are_ok(names: list[str]) -> list[str]:
    return [f"{name} ok" for name in names]


def test_a_hanging_deployment_with_one_place_holds_up_nobody_who_asks_another(bench: InvokeBench) -> None:
    desk = Desk(DEAD[0])
    worker = bench.start_invoke(desk, lanes=(PLACES, PLACES, PLACES)).await_running()
    ask(bench, DEAD, "dead")
    desk.await_asked(DEAD[0])

    ask(bench, WELL, "well")

    assert holds_within(WITHIN_S, lambda: sorted(ended(bench)) == sorted(are_ok(WELL))), ended(bench)
    assert desk.asked.count(DEAD[0]) == 1
    assert holds_within(WITHIN_S, lambda: (worker.metric("millrace_waiting", lane="normal") or 0) > 2 * PLACES)
    desk.release(DEAD[0])
    assert holds_within(WITHIN_S, lambda: len(ended(bench)) == len(DEAD) + len(WELL))
    assert sorted(ended(bench)) == sorted(are_ok(DEAD + WELL))
    assert [name for name in desk.asked if name in DEAD] == DEAD, "first come, first served"
    assert len(bench.log.read(CALLS)) == len(desk.asked), "who is set back writes nothing"


def test_an_open_breaker_holds_up_nobody_and_who_waits_for_it_expires_in_time_or_is_answered(
    bench: InvokeBench,
) -> None:
    late = [f"late-{number}" for number in range(2 * PLACES)]
    desk = Desk()
    apply(bench, shut(for_ms=600_000))
    bench.start_invoke(desk, lanes=(PLACES, PLACES, PLACES)).await_running()
    ask(bench, DEAD, "dead")
    ask(bench, late, "dead", within_ms=1_500)

    ask(bench, WELL, "well")

    assert holds_within(WITHIN_S, lambda: set(are_ok(WELL)) <= set(ended(bench))), ended(bench)
    assert holds_within(WITHIN_S, lambda: {f"{name} expired" for name in late} <= set(ended(bench))), ended(bench)
    assert sorted(desk.asked) == sorted(WELL)
    apply(bench, shut(for_ms=0))
    assert holds_within(WITHIN_S, lambda: set(are_ok(DEAD)) <= set(ended(bench))), ended(bench)
    assert len(ended(bench)) == len(set(ended(bench))) == len(DEAD) + len(late) + len(WELL)
    assert sorted(desk.asked) == sorted(DEAD + WELL)

"""One tenant's flood, and what another notices of it; the urgent's flood, and what the low lane notices."""

import asyncio
import sys
import time
from collections.abc import Iterator
from itertools import count
from statistics import quantiles
from typing import Any

import pytest
from msgspec.structs import replace
from typing_extensions import override

from schemas.control import Deployment
from schemas.flow import Completion
from schemas.topics import COMPLETIONS, DISPATCH
from scripts.stack.readiness import holds_within
from streams.clock import now_ms
from streams.providers.protocol import Question, Reply
from streams.settings import KafkaSettings
from tests.fakes.provider import saying
from tests.integration.invoke_bench import Desk, InvokeBench
from tests.integration.kafka_log import WITHIN_S
from tests.unit.examples import carried, dispatch, prompt, ticket

pytestmark = pytest.mark.integration

FLOOD = 10_000
CALL_S = 0.1
PLACES = 40
"""Of the lane, so that 10 000 calls take 25 s."""
TRICKLE_S, EVERY_S = 8.0, 0.08
FACTOR = 3
"""So much longer than alone 95 of 100 of the trickle take at most while the flood waits."""


class Slow(Desk):
    """Answers everything after the same time."""

    @override
    async def ask(self, deployment: Deployment, question: Question) -> Reply:
        await asyncio.sleep(CALL_S)
        self.asked.append("")
        return saying("yes")


@pytest.fixture
def bench(kafka: KafkaSettings) -> Iterator[InvokeBench]:
    with InvokeBench(kafka) as bench:
        bench.prepare()
        yield bench


def write(bench: InvokeBench, name: str, tenant_id: str, priority: Any = "normal") -> None:
    mine = ticket(name, tenant_id=tenant_id, priority=priority, produced_at_ms=now_ms())
    event = replace(dispatch(ticket_=mine, timeout_ms=60_000), prompt=carried(prompt(name)))
    bench.log.write(DISPATCH[priority], event, key=name)


def trickle(bench: InvokeBench, name: str) -> list[str]:
    """Steadily, one after another, whether they are answered or not."""
    names: list[str] = []
    begun_s = time.monotonic()
    for number in count():
        due_s = number * EVERY_S
        if due_s >= TRICKLE_S:
            return names
        assert holds_within(WITHIN_S, lambda at_s=begun_s + due_s: time.monotonic() >= at_s)
        names.append(f"{name}-{number}")
        write(bench, names[-1], "acme")
        bench.log.flush()
    return names


def p95_ms(bench: InvokeBench, names: list[str]) -> float:
    """Of those requests, from when they were written until they were completed; all of them must be."""
    took_ms: dict[str, int] = {}

    def are_there() -> bool:
        for record in bench.log.read(COMPLETIONS):
            ended = Completion.decode(record.value or b"").ticket
            took_ms[ended.request_id] = ended.stamps["invoke"] - ended.produced_at_ms
        return set(names) <= took_ms.keys()

    assert holds_within(WITHIN_S, are_there), set(names) - took_ms.keys()
    return quantiles([took_ms[name] for name in names], n=20)[-1]


def test_a_flood_of_ten_thousand_moves_another_tenants_p95_by_no_more_than_the_stated_factor(
    bench: InvokeBench,
) -> None:
    worker = bench.start_invoke(Slow(), lanes=(8, PLACES, 8)).await_running()
    alone_ms = p95_ms(bench, trickle(bench, "alone"))

    for number in range(FLOOD):
        write(bench, f"flood-{number}", "flood")
    bench.log.flush()
    among = trickle(bench, "among")

    left = worker.metric("millrace_waiting", lane="normal") or 0
    flooded_ms = p95_ms(bench, among)
    sys.stdout.write(f"p95 alone {alone_ms:.0f} ms, in the flood {flooded_ms:.0f} ms; {left:.0f} still waited\n")
    assert left > FLOOD / 4, "the flood was over before the trickle"
    assert flooded_ms <= FACTOR * alone_ms


def test_a_flood_of_the_urgent_does_not_starve_the_low_lane(bench: InvokeBench) -> None:
    bench.start_invoke(Slow(), lanes=(4, 4, 2)).await_running()
    for number in range(1_000):
        write(bench, f"urgent-{number}", "flood", "high")
    bench.log.flush()
    low = [f"low-{number}" for number in range(10)]
    for name in low:
        write(bench, name, "acme", "low")
    bench.log.flush()

    def ended() -> list[str]:
        found = bench.log.events(COMPLETIONS, Completion)
        return [completion.ticket.request_id for completion in found]

    assert holds_within(WITHIN_S, lambda: set(low) <= set(ended()))
    assert sum(name.startswith("urgent") for name in ended()) < 500

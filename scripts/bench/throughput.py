"""Rounds of everybody in turn: a backlog of requests at once, until all is answered, and for us stored."""

from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Literal, assert_never

from scripts.bench.contenders.litellm import Proxy, Running
from scripts.bench.load.job import Heard, OverHttp, OverKafka
from scripts.bench.mix import Mix
from scripts.bench.plan import HITS_DISTINCT, Contender, Plan
from scripts.bench.provider.pace import Pace
from scripts.bench.rig import Rig

Rounds = Mapping[Contender, list[Heard]]
_TOPICS: Final[Mapping[Contender, tuple[int, int]]] = {"floor": (0, 1), "hop": (2, 3), "faust_hop": (4, 5)}
"""Numbers of the rig's topics: where each reads and where it writes."""


def measure(
    rig: Rig, plan: Plan, contenders: list[Contender], proxy: Proxy | None, raw: Path, step: Callable[[str], None]
) -> Rounds:
    """Each round begins with another contender, so that none has the others' wake for itself."""
    rig.set_pace(Pace(latency_ms=plan.throughput_latency_ms))
    with ExitStack() as held:
        # it takes ten seconds to start and next to nothing while it is idle: once for all rounds
        running = None if proxy is None else held.enter_context(proxy.running(rig))
        return _measure(rig, plan, contenders, running, raw, step)


def _measure(
    rig: Rig, plan: Plan, contenders: list[Contender], proxy: Running | None, raw: Path, step: Callable[[str], None]
) -> Rounds:
    rounds: dict[Contender, list[Heard]] = {name: [] for name in contenders}
    for number in range(plan.rounds + 1):
        at = number % len(contenders)
        for name in (*contenders[at:], *contenders[:at]):
            count = plan.requests[name] if number else min(plan.warm_up, plan.requests[name])
            step(f"{name.replace('_', ' ')}, {f'round {number} of {plan.rounds}' if number else 'warming up'}")
            mix = Mix(
                name=f"{name.replace('_', '')}-{number}", count=count, cache=_cache(name), distinct=_distinct(name)
            )
            with _door(rig, name, plan, proxy) as (door, pids):
                heard = rig.carry_out(rig.job(mix, door, pids), raw / f"{name}-{number}.json")
            if number:
                rounds[name].append(heard)
    return rounds


def _cache(name: Contender) -> Literal["off", "default"]:
    return "default" if name in ("millrace_misses", "millrace_hits") else "off"


def _distinct(name: Contender) -> int | None:
    """Hits repeat what was asked while warming up."""
    return HITS_DISTINCT if name == "millrace_hits" else None


@contextmanager
def _door(
    rig: Rig, name: Contender, plan: Plan, proxy: Running | None
) -> Generator[tuple[OverKafka | OverHttp, dict[str, int]]]:
    """Where to ask, and whose CPU to take; what it needs beside the stack runs meanwhile.

    Ours run all the time, idle while another is asked, and their CPU is taken too: so it shows what idling costs.
    """
    pids = rig.pids()
    match name:
        case "millrace" | "millrace_misses" | "millrace_hits":
            yield rig.millrace_door(), pids
        case "floor":
            asks = ("--provider-url", rig.provider_url, "--in-flight", str(plan.in_flight))
            with _between_topics(rig, name, *asks) as (door, pid):
                yield door, {**pids, name: pid}
        case "hop":
            with _between_topics(rig, name, "--id-header") as (door, pid):
                yield door, {**pids, name: pid}
        case "faust_hop":
            with _between_topics(rig, name, "--partitions", str(rig.stack.kafka.partitions)) as (door, pid):
                yield door, {**pids, name: pid}
        case "litellm":
            if proxy is None:
                raise ValueError("LiteLLM is measured only where it is installed")
            door = OverHttp(url=proxy.url, key=proxy.key, in_flight=plan.in_flight)
            yield door, {**pids, name: proxy.pid}
        case _:
            assert_never(name)


@contextmanager
def _between_topics(rig: Rig, name: Contender, *more: str) -> Generator[tuple[OverKafka, int]]:
    reads, writes = (rig.topic(number) for number in _TOPICS[name])
    topics = ("--requests", reads, "--answers", writes)
    servers = ("--bootstrap-servers", rig.stack.kafka.bootstrap_servers)
    with rig.beside(name, f"scripts.bench.contenders.{name}", *servers, *topics, *more) as pid:
        yield rig.door(reads, writes), pid

"""Requests at a steady rate, open loop: how much later than the provider's own time an answer comes, and why."""

from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, assert_never

from schemas.participants import STAGES
from scripts.bench.figure import quantile
from scripts.bench.load.job import Answered, Heard, OverKafka
from scripts.bench.mix import Mix
from scripts.bench.plan import HITS_DISTINCT, Plan, Series
from scripts.bench.provider.pace import Pace
from scripts.bench.rig import Rig

HOPS: Final = 6
_WARM_UP: Final = 40
_FIRST_TOPIC: Final = 6
"""The rig's topics before it are those of the throughput rounds."""
SERIES: Final[tuple[Series, ...]] = ("hops", "millrace", "millrace_hits")
LatencyRounds = Mapping[Series, list[Heard]]


def measure(rig: Rig, plan: Plan, raw: Path, step: Callable[[str], None]) -> LatencyRounds:
    rig.set_pace(Pace(latency_ms=plan.provider_latency_ms))
    rounds: dict[Series, list[Heard]] = {name: [] for name in SERIES}
    count = plan.latency_s * plan.latency_per_second
    for number in range(plan.latency_rounds):
        for name in SERIES:
            step(f"latency of {name.replace('_', ' ')}, round {number + 1} of {plan.latency_rounds}")
            is_hits = name == "millrace_hits"
            mix = Mix(
                name=f"latency{name.replace('_', '')}-{number}",
                count=count,
                cache="default" if is_hits else "off",
                distinct=HITS_DISTINCT if is_hits else None,
            )
            with _door(rig, name) as door:
                # a client's first record waits for what its others find done
                warm_up = mix.model_copy(update={"name": f"warm{mix.name}", "count": _WARM_UP})
                rig.carry_out(rig.job(warm_up, door, {}), rig.folder / f"{warm_up.name}.json")
                job = rig.job(mix, door, rig.pids(), per_second=plan.latency_per_second)
                rounds[name].append(rig.carry_out(job, raw / f"latency-{name}-{number}.json"))
    return rounds


def added_ms(name: Series, heard: Heard, provider_ms: float) -> list[float]:
    """Time outside the provider, of each answer. What the provider took is taken to be what it was told to take, so
    that neither its lateness nor the client's is given away. Hits and hops ask no provider.
    """
    match name:
        case "millrace":
            return [each.latency_ms - provider_ms for each in heard.answers]
        case "millrace_hits":
            # the first of each prompt may have had to be asked
            return [each.latency_ms for each in heard.answers if each.cache != "none"]
        case "hops":
            return [each.latency_ms for each in heard.answers]
        case _:
            assert_never(name)


def breakdown(answers: list[Answered], share: float) -> dict[str, float]:
    """Milliseconds, by where they went: up to each stage's end since the one before, and then to whoever listens.

    `invoke` is without the provider. Each is a quantile of its own, so they need not add up to that of the whole.
    """
    parts: dict[str, list[float]] = {}
    for each in answers:
        for name, taken_ms in _parts(each).items():
            parts.setdefault(name, []).append(taken_ms)
    return {name: quantile(values, share) for name, values in parts.items()}


def _parts(answered: Answered) -> dict[str, float]:
    """The stages an answer has seen, in order. Stamps are whole milliseconds, so a part may be off by one."""
    found: dict[str, float] = {}
    before_ms = 0.0
    for stage in STAGES:
        if (at_ms := answered.stages_ms.get(stage)) is not None:
            found[stage] = at_ms - before_ms - ((answered.provider_ms or 0) if stage == "invoke" else 0)
            before_ms = at_ms
    if answered.answered_after_ms is not None:
        found["postprocess"] = found.get("postprocess", 0.0) + answered.answered_after_ms - before_ms
        found["delivery"] = answered.latency_ms - answered.answered_after_ms
    return found


@contextmanager
def _door(rig: Rig, name: Series) -> Generator[OverKafka]:
    if name != "hops":
        yield rig.millrace_door(with_rows=False)
        return

    def topic(number: int) -> str:
        return rig.topic(_FIRST_TOPIC + number)

    with ExitStack() as held:
        for number in range(HOPS):
            is_last = number == HOPS - 1
            held.enter_context(
                rig.beside(
                    f"hop-{number}",
                    "scripts.bench.contenders.hop",
                    *("--bootstrap-servers", rig.stack.kafka.bootstrap_servers),
                    *("--requests", topic(number), "--answers", topic(number + 1)),
                    *("--name", f"hop-{number}", "--id-header" if is_last else "--no-id-header"),
                )
            )
        yield rig.door(topic(0), topic(HOPS))

"""How much is measured: a whole comparison, a quick one to look at while working, and a tiny one for tests."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt

Contender = Literal["floor", "millrace", "millrace_misses", "millrace_hits", "hop", "faust_hop", "litellm"]
"""`millrace`: all stages, the cache off. `_misses`: the cache on, and nothing in it; `_hits`: everything in it."""

Series = Literal["hops", "millrace", "millrace_hits"]


class Plan(BaseModel):
    """Requests are counted for each round. `latency_s` is how long each series of the latency run lasts in a round."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["full", "quick", "tiny"]
    rounds: PositiveInt
    requests: dict[Contender, PositiveInt]
    warm_up: PositiveInt = Field(description="requests to each before the first round, not measured")
    in_flight: PositiveInt = 512
    throughput_latency_ms: NonNegativeInt = Field(default=50, description="of the provider, in the throughput rounds")
    latency_rounds: PositiveInt
    latency_s: PositiveInt
    latency_per_second: PositiveInt = 50
    provider_latency_ms: NonNegativeInt = Field(default=200, description="of the provider, in the latency rounds")
    capacity_s: float = 2.0


HITS_DISTINCT: Final = 64
"""Prompts that are asked again and again, over all tenants."""

FULL: Final = Plan(
    name="full",
    rounds=5,
    requests={
        "floor": 20_000,
        "millrace": 20_000,
        "millrace_misses": 10_000,
        "millrace_hits": 10_000,
        "hop": 50_000,
        "faust_hop": 10_000,
        "litellm": 600,
    },
    warm_up=1_000,
    latency_rounds=5,
    latency_s=30,
)
QUICK: Final = Plan(
    name="quick",
    rounds=3,
    requests={"floor": 2_500, "millrace": 2_500, "millrace_hits": 1_500, "litellm": 150},
    warm_up=300,
    latency_rounds=1,
    latency_s=8,
    capacity_s=1.0,
)
TINY: Final = Plan(
    name="tiny",
    rounds=1,
    requests={"floor": 200, "millrace": 200, "millrace_hits": 200, "hop": 200, "faust_hop": 200},
    warm_up=80,
    in_flight=64,
    throughput_latency_ms=10,
    latency_rounds=1,
    latency_s=2,
    provider_latency_ms=20,
    capacity_s=0.2,
)
PLANS: Final = {plan.name: plan for plan in (FULL, QUICK, TINY)}

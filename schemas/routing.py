"""What routing is told of deployments: what their models can do, how fast they have been, how targets are ordered."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from schemas.base import EpochMs, Model, Name, PositiveInt

Strategy = Literal["given", "cheapest", "fastest", "weighted"]


def _each_can_count(order: tuple[Strategy, ...]) -> tuple[Strategy, ...]:
    if len(set(order)) < len(order):
        raise ValueError("names a strategy twice: the second time it could decide nothing; name each once")
    if "given" in order[:-1]:
        raise ValueError("has `given` before others, which it leaves nothing to decide: put it last, or take it out")
    return order


Order = Annotated[tuple[Strategy, ...], Field(min_length=1), AfterValidator(_each_can_count)]


class Features(Model):
    """What a model can do. Null: nobody has said how much, so that nothing is too much for it."""

    context_tokens: PositiveInt | None = Field(default=None, description="prompt and answer together")
    max_output_tokens: PositiveInt | None = Field(default=None, description="its longest answer")
    tools: bool = True
    images: bool = True
    structured_output: bool = Field(default=True, description="can be held to JSON: params.response_format")


class Latency(Model):
    """Written by `watch`, where a route orders by it: how long calls that were answered took lately, to 10 %."""

    kind: Literal["latency"] = "latency"
    name: Name = Field(description="of the deployment")
    p50_ms: Annotated[int, Field(ge=0)]
    p95_ms: Annotated[int, Field(ge=0)]
    calls: Annotated[int, Field(ge=1, description="that it is said of")]
    at_ms: EpochMs

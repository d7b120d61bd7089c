"""What the load is told to do, and what it has measured. Both travel as JSON files."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from scripts.bench.mix import Mix


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OverKafka(_Frozen):
    """Requests are written to one topic, answers come back on another under the request's id."""

    bootstrap_servers: str
    requests: str
    answers: str
    clickhouse_port: int | None = Field(default=None, description="wait until every final row is visible there")


class OverHttp(_Frozen):
    """Chat completions are posted to `url`, so many at once at most."""

    url: str
    key: str
    in_flight: int


class Job(_Frozen):
    """`due_s` are seconds since the start, one for each request. CPU is taken of `pids` by name."""

    mix: Mix
    due_s: list[float]
    door: OverKafka | OverHttp
    pids: dict[str, int]
    quiet_s: float = 60
    is_awaited: bool = Field(default=True, description="false: end when everything is acknowledged")
    is_detailed: bool = Field(default=False, description="keep every answer's times, not only how many there were")


class Answered(_Frozen):
    """`latency_ms` is from the time the request was due, whenever it was sent. `stages_ms` is as the response says:
    from the request's own timestamp to the end of each stage.
    """

    number: int
    due_s: float
    latency_ms: float
    provider_ms: float | None = None
    cache: str = "none"
    stages_ms: dict[str, float] = Field(default_factory=dict)
    answered_after_ms: float | None = Field(default=None, description="from its timestamp until the response was made")


class Heard(_Frozen):
    """`wall_s` and `cpu_s` are from the first request to the last answer, or until all rows are visible.

    `generator_late_ms` is how much later than due the load itself sent, at the 99th percentile.
    """

    sent: int
    answered: int
    repeated: int
    statuses: dict[str, int]
    wall_s: float
    answers_after_s: float
    cpu_s: dict[str, float]
    generator_late_ms: float
    answers: list[Answered] = Field(default_factory=list[Answered])

    @property
    def lost(self) -> int:
        return self.sent - self.answered

    def cpu_us(self, *names: str) -> float:
        """Of these processes together, for each answered request."""
        return sum(self.cpu_s[name] for name in names) / self.answered * 1e6

    @property
    def per_second(self) -> float:
        return self.answered / self.wall_s

    def without_answers(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude={"answers"})

"""When `watch` calls a deployment unhealthy, whom it tells about money, and where it keeps what can be rebuilt."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.watch.breaker import Thresholds

BUCKETS = 6
"""A window is this many buckets: it always holds the last five whole ones and the one being filled."""


class WatchSettings(BaseSettings):
    """Environment: `MILLRACE_WATCH_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="MILLRACE_WATCH_", frozen=True, extra="ignore", env_ignore_empty=True)

    data_dir: Path = Field(
        default=Path("watch-data"),
        description="Tables on disk, a directory for each worker. Rebuilt from Kafka at every start.",
    )
    window_s: Annotated[int, Field(ge=BUCKETS, le=600, multiple_of=BUCKETS)] = Field(
        default=30, description="Calls of this last while decide whether a deployment is healthy."
    )
    min_calls: Annotated[int, Field(ge=1)] = Field(
        default=10, description="With fewer calls in the window a breaker does not open."
    )
    failure_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.5, description="A breaker opens when this share of the window's calls failed."
    )
    open_s: Annotated[int, Field(ge=1, le=3_600)] = Field(
        default=30, description="An open breaker lets probes through after this while."
    )
    tick_s: Annotated[float, Field(ge=0.1, le=60)] = Field(
        default=1.0, description="How often open breakers and our own health are looked at."
    )
    remember_s: Annotated[int, Field(ge=60, le=86_400)] = Field(
        default=3_600, description="A row that is delivered again within this while is booked once."
    )
    error_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.5, description="Alert when this share of a tenant's requests of five minutes failed or expired."
    )
    error_min_requests: Annotated[int, Field(ge=1)] = Field(
        default=20, description="With fewer requests in five minutes there is no such alert."
    )
    commit_interval_ms: Annotated[int, Field(ge=100)] = Field(
        default=1_000, description="Progress is committed this often; a crash repeats at most this much work."
    )

    @model_validator(mode="after")
    def _breaker_outlasts_a_bucket(self) -> Self:
        if self.open_s < self.bucket_s:
            raise ValueError(
                f"open_s is {self.open_s}: make it at least {self.bucket_s} (window_s / {BUCKETS}), or the failures "
                "that opened a breaker would still count when it has closed"
            )
        return self

    @property
    def bucket_s(self) -> int:
        return self.window_s // BUCKETS

    @property
    def thresholds(self) -> Thresholds:
        return Thresholds(min_calls=self.min_calls, failure_share=self.failure_share, open_ms=self.open_s * 1_000)

"""Settings of the streams side, one frozen class per concern. Environment: `MILLRACE_<CLASS>_<FIELD>`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, FilePath, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.topics import Topic

CLOCK_SKEW_MS = 2_000
"""What the clocks of machines may differ by; `millrace doctor` says when they do by more."""


def _config(prefix: str) -> SettingsConfigDict:
    return SettingsConfigDict(env_prefix=f"MILLRACE_{prefix}_", frozen=True, extra="ignore", env_ignore_empty=True)


class KafkaSettings(BaseSettings):
    """Where the cluster is, how to prove who we are, and how our topics are laid out on it."""

    model_config = _config("KAFKA")

    bootstrap_servers: str = Field(default="127.0.0.1:9092", description="Brokers, host:port, comma-separated.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="How the connection is protected."
    )
    ssl_ca_file: FilePath | None = Field(
        default=None,
        description="PEM file: the authority that signed the brokers' certificates; default: the system's.",
    )
    ssl_certificate_file: FilePath | None = Field(
        default=None, description="PEM file: our own certificate, where brokers ask for one."
    )
    ssl_key_file: FilePath | None = Field(default=None, description="PEM file: the private key of that certificate.")
    ssl_key_password: SecretStr | None = Field(default=None, description="Opens that key, where it is encrypted.")
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="Used when the security protocol starts with SASL."
    )
    sasl_username: str | None = Field(default=None, description="Our name towards the brokers.")
    sasl_password: SecretStr | None = Field(default=None, description="Our password towards the brokers.")
    topic_prefix: str = Field(default="llm.", pattern=r"^[a-zA-Z0-9._-]*$", description="Before every topic's name.")
    group_prefix: str = Field(
        default="millrace.", pattern=r"^[a-zA-Z0-9._-]*$", description="Before every consumer group's name."
    )
    partitions: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=12, description="Partitions of every topic but the totally ordered ones: the most workers per stage."
    )
    replication: Annotated[int, Field(ge=1, le=7)] = Field(default=1, description="Copies of every partition.")
    min_insync: Annotated[int, Field(ge=1, le=7)] = Field(
        default=1, description="Copies that must have a record before it counts as written; 2 with replication 3."
    )
    session_timeout_ms: Annotated[int, Field(ge=6_000)] = Field(
        default=45_000, description="A worker silent for longer loses its partitions."
    )
    delivery_timeout_ms: Annotated[int, Field(ge=1_000)] = Field(
        default=30_000,
        description="A record not acknowledged for this long stops the worker, which then starts over; from then on "
        "brokers refuse it. Below the session timeout by a tenth of it and two seconds for clocks that differ, so that "
        "what a frozen worker had in hand is void when its partitions have a new owner.",
    )

    @model_validator(mode="after")
    def _void_before_somebody_else_owns_it(self) -> Self:
        most_ms = self.session_timeout_ms - self.membership_holds_ms - CLOCK_SKEW_MS
        if self.delivery_timeout_ms >= most_ms:
            raise ValueError(
                f"delivery_timeout_ms is {self.delivery_timeout_ms}: make it smaller than {most_ms}, which is "
                f"session_timeout_ms less a tenth and {CLOCK_SKEW_MS} for clocks that differ"
            )
        return self

    @model_validator(mode="after")
    def _what_is_used_together_is_set_together(self) -> Self:
        if self.uses_sasl and (self.sasl_username is None or self.sasl_password is None):
            raise ValueError(f"security_protocol {self.security_protocol} needs sasl_username and sasl_password")
        if (self.ssl_certificate_file is None) != (self.ssl_key_file is None):
            raise ValueError("ssl_certificate_file and ssl_key_file belong together: set both, or none")
        return self

    @property
    def uses_tls(self) -> bool:
        return self.security_protocol in ("SSL", "SASL_SSL")

    @property
    def uses_sasl(self) -> bool:
        return self.security_protocol.startswith("SASL")

    @property
    def membership_holds_ms(self) -> int:
        """How long a worker that has proved that its group counts on it acts on that proof."""
        return max(1_000, self.session_timeout_ms // 10)

    def topic(self, topic: Topic) -> str:
        return f"{self.topic_prefix}{topic.name}"

    def group(self, stage: str) -> str:
        return f"{self.group_prefix}{stage}"


class WorkerSettings(BaseSettings):
    """How a stage works through its events."""

    model_config = _config("WORKER")

    batch_size: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=500, description="Events decided before their outcomes are confirmed together."
    )
    poll_ms: Annotated[int, Field(ge=1, le=5_000)] = Field(
        default=100, description="Longest wait for an event before timers and signals are looked at."
    )
    commit_interval_ms: Annotated[int, Field(ge=0)] = Field(
        default=250, description="Progress is committed at most this often; a crash repeats at most this much work."
    )
    drain_ms: Annotated[int, Field(ge=0)] = Field(
        default=10_000, description="Longest wait for unfinished work when partitions are taken away or on SIGTERM."
    )
    max_parked: Annotated[int, Field(ge=1)] = Field(
        default=10_000, description="Events a worker may hold back before it stops reading more."
    )
    spill_letters: Annotated[int, Field(ge=1)] = Field(
        default=20,
        description="So many dead letters that are our own fault, not a producer's, a worker may write of one topic "
        "before their share of its last events is looked at. For sink and watch, too.",
    )
    spill_percent: Annotated[int, Field(ge=1, le=100)] = Field(
        default=50,
        description="When so many of its last events of a topic became such dead letters, the worker stops; 100: "
        "never.",
    )
    spill_window: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=200, description="How many of its last events of a topic a worker looks at for that."
    )
    answered_window_s: Annotated[int, Field(ge=60)] = Field(
        default=3_600, description="How far back a new worker relearns which requests are already answered."
    )

    @model_validator(mode="after")
    def _a_spill_can_be_seen(self) -> Self:
        if self.spill_letters > self.spill_window:
            raise ValueError(
                f"spill_letters is {self.spill_letters}: make it no larger than spill_window, {self.spill_window}"
            )
        return self


class InvokeSettings(BaseSettings):
    """How many calls may wait on providers, and which secrets they may use."""

    model_config = _config("INVOKE")

    in_flight_high: Annotated[int, Field(ge=1)] = Field(default=256, description="Calls at once in the high lane.")
    in_flight_normal: Annotated[int, Field(ge=1)] = Field(default=512, description="Calls at once in the normal lane.")
    in_flight_low: Annotated[int, Field(ge=1)] = Field(default=128, description="Calls at once in the low lane.")
    read_ahead: Annotated[int, Field(ge=0)] = Field(
        default=20_000,
        description="Requests a lane reads ahead of its places, so that tenants take turns; beyond that, in order.",
    )
    read_ahead_mib: Annotated[int, Field(ge=1)] = Field(
        default=64, description="The same in MiB, by lane; about a kilobyte is counted for each request beside itself."
    )
    drain_ms: Annotated[int, Field(ge=0)] = Field(
        default=20_000, description="Longest wait for calls in flight on SIGTERM, when the group is left already."
    )
    secrets_dir: Path | None = Field(
        default=None, description="Folder of provider keys, one file for each key_ref; else environment variables."
    )
    backoff_ms: Annotated[int, Field(ge=1)] = Field(default=200, description="Pause before the second attempt.")
    backoff_cap_ms: Annotated[int, Field(ge=1)] = Field(default=5_000, description="Longest pause between attempts.")


class SinkSettings(BaseSettings):
    """How call rows are gathered before they are inserted."""

    model_config = _config("SINK")

    batch_rows: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=20_000, description="Most rows written together, and in memory, at about 10 KB each."
    )
    batch_ms: Annotated[int, Field(ge=1)] = Field(
        default=500, description="Longest time a row waits for company before it is inserted."
    )


class ObserveSettings(BaseSettings):
    """Where a process shows its health and metrics, and how much it logs."""

    model_config = _config("OBSERVE")

    host: str = Field(default="127.0.0.1", description="Address of /healthz and /metrics; nothing else is served.")
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(default=0, description="0 takes a free port.")
    port_file: Path | None = Field(default=None, description="The chosen port is written here.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level logged.")
    stall_s: Annotated[int, Field(ge=5)] = Field(
        default=60, description="Unfinished work that does not move for this long makes the process unhealthy."
    )

"""The simulator's settings: the same fields as flags, as `MILLRACE_SIMULATOR_*` variables and in Python."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from scripts.simulator.faults import KINDS, Plan, Rule

_Count = Annotated[int, Field(ge=0)]
_Amount = Annotated[float, Field(ge=0)]


class SimulatorSettings(BaseSettings):
    """A provider that speaks OpenAI's and Anthropic's protocols, charges nothing and keeps the bill it would send."""

    model_config = SettingsConfigDict(
        frozen=True,
        env_prefix="MILLRACE_SIMULATOR_",
        cli_prog_name="python -m scripts.simulator",
        cli_kebab_case=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
    )

    host: Annotated[str, Field(description="address to listen on")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535, description="port to listen on; 0 takes a free one")] = 0
    port_file: Annotated[Path | None, Field(description="file to write the port to once requests are accepted")] = None
    seed: Annotated[int, Field(description="answers, latencies and planned faults are a function of it")] = 7
    latency_ms: Annotated[_Amount, Field(description="median time to a whole answer; 0 answers at once")] = 0
    ttft_ms: Annotated[_Amount, Field(description="median time to a stream's first token")] = 0
    latency_spread: Annotated[_Amount, Field(description="sigma of the logarithm of both times")] = 0.35
    tokens_per_s: Annotated[_Amount, Field(description="pace of a stream; 0 sends it at once")] = 0
    answer_tokens: Annotated[int, Field(ge=1, description="median length of an answer in tokens")] = 120
    answer_spread: Annotated[_Amount, Field(description="sigma of the logarithm of that length")] = 0.6
    key: Annotated[
        tuple[SecretStr, ...], Field(description="an API key to accept, repeatable; none accepts any key")
    ] = ()
    fault: Annotated[
        tuple[str, ...],
        Field(description=f"KIND=RATE, repeatable: the share of calls that fail so; KIND is {', '.join(KINDS)}"),
    ] = ()
    fault_plan: Annotated[Path | None, Field(description='JSON file {"rules": [{"kind", "rate", "model", ...}]}')] = (
        None
    )
    requests_per_minute: Annotated[_Count, Field(description="limit for each key and model; 0 is none")] = 0
    tokens_per_minute: Annotated[_Count, Field(description="limit for each key and model; 0 is none")] = 0
    stop_at_eof: Annotated[bool, Field(description="stop when standard input ends, as it does with its writer")] = False
    bill_file: Annotated[Path | None, Field(description="file to append the bill's lines to")] = None

    @field_validator("fault")
    @classmethod
    def _reads_as_rules(cls, flags: tuple[str, ...]) -> tuple[str, ...]:
        Plan(rules=tuple(map(_rule, flags)))
        return flags

    def plan(self) -> Plan:
        """The rules of the file, then those of the flags. OSError or ValueError when the file cannot be read."""
        rules = tuple(map(_rule, self.fault))
        if self.fault_plan is not None:
            rules = (*Plan.model_validate_json(self.fault_plan.read_bytes()).rules, *rules)
        return Plan(rules=rules)


def _rule(flag: str) -> Rule:
    name, _, rate = flag.partition("=")
    kind = KINDS.get(name)
    if kind is None:
        raise ValueError(f"'{flag}' is not KIND=RATE with a KIND of {', '.join(KINDS)}")
    try:
        return Rule(kind=kind, rate=float(rate))
    except ValueError:
        raise ValueError(f"'{flag}' needs a rate between 0 and 1 after the '='") from None

"""`millrace simulate-provider`: a provider for trying things out, that charges nothing."""

from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from scripts.cli.command_group import command_app
from scripts.cli.fault import Fault
from scripts.simulator.control import complaints
from scripts.simulator.server import run
from scripts.simulator.settings import SimulatorSettings

app = command_app()


def _option(field: str, metavar: str | None = None) -> Any:
    """The simulator's own words. What is not given is left to its environment and defaults."""
    described = SimulatorSettings.model_fields[field]
    default = "none" if described.default in (None, ()) else described.default
    return typer.Option(help=f"{described.description} (default: {default})", metavar=metavar, show_default=False)


@app.command(epilog="Example: millrace simulate-provider --port 8081 --latency-ms 300 --fault 429=0.05")
def simulate_provider(
    host: Annotated[str | None, _option("host")] = None,
    port: Annotated[int | None, _option("port")] = None,
    port_file: Annotated[Path | None, _option("port_file")] = None,
    seed: Annotated[int | None, _option("seed")] = None,
    latency_ms: Annotated[float | None, _option("latency_ms")] = None,
    latency_spread: Annotated[float | None, _option("latency_spread")] = None,
    ttft_ms: Annotated[float | None, _option("ttft_ms")] = None,
    tokens_per_s: Annotated[float | None, _option("tokens_per_s")] = None,
    answer_tokens: Annotated[int | None, _option("answer_tokens")] = None,
    answer_spread: Annotated[float | None, _option("answer_spread")] = None,
    key: Annotated[list[str] | None, _option("key")] = None,
    fault: Annotated[list[str] | None, _option("fault", "KIND=RATE")] = None,
    fault_plan: Annotated[Path | None, _option("fault_plan")] = None,
    requests_per_minute: Annotated[int | None, _option("requests_per_minute")] = None,
    tokens_per_minute: Annotated[int | None, _option("tokens_per_minute")] = None,
    bill_file: Annotated[Path | None, _option("bill_file")] = None,
) -> None:
    """Serve a provider that speaks OpenAI's and Anthropic's protocols and bills nobody.

    GET /_bill is what it would have charged; /_control/faults changes its faults while it runs.
    """
    given = {
        "host": host,
        "port": port,
        "port_file": port_file,
        "seed": seed,
        "latency_ms": latency_ms,
        "latency_spread": latency_spread,
        "ttft_ms": ttft_ms,
        "tokens_per_s": tokens_per_s,
        "answer_tokens": answer_tokens,
        "answer_spread": answer_spread,
        "key": key or None,
        "fault": fault or None,
        "fault_plan": fault_plan,
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "bill_file": bill_file,
    }
    try:
        run(SimulatorSettings.model_validate({name: value for name, value in given.items() if value is not None}))
    except ValidationError as error:
        raise Fault("; ".join(complaints(error))) from error
    except OSError as error:
        raise Fault(f"the provider simulator cannot start: {error}") from error

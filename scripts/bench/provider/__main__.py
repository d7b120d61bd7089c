"""`python -m scripts.bench.provider`: serves until SIGTERM. Every setting of the pace is a flag."""

import asyncio
import sys
from typing import Annotated

import typer

from scripts.bench.provider.pace import Pace
from scripts.bench.provider.server import serve


def provider(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")],
    latency_ms: Annotated[float, typer.Option(min=0, help="Of every answer.")] = 0,
    prefill_tokens_per_s: Annotated[float, typer.Option(min=0, help="Reading the prompt; 0 takes no time.")] = 0,
    decode_tokens_per_s: Annotated[float, typer.Option(min=0, help="Writing the answer; 0 takes no time.")] = 0,
) -> None:
    """Answer OpenAI chat completions, with usage, as cheaply as Python can."""
    pace = Pace(
        latency_ms=latency_ms,
        prefill_tokens_per_s=prefill_tokens_per_s,
        decode_tokens_per_s=decode_tokens_per_s,
    )
    asyncio.run(serve(port, pace))


if __name__ == "__main__":
    sys.exit(typer.run(provider))

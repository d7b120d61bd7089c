"""`millrace`: the commands by name. A new one is one line here and a module `scripts.cli.<name>` with its `app`."""

from collections.abc import Mapping
from types import MappingProxyType

import typer

from scripts.cli.command_group import Deferred, FaultTelling

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "up": "Run Kafka, ClickHouse, a provider simulator and every stage here, restarting what dies, until Ctrl-C.",
        "doctor": "Check Kafka, ClickHouse, the configuration, keys, lag and clocks, and say what to do.",
        "topics": "Create the topics of the pipeline, and show what is on them.",
        "tables": "Create the tables and views in ClickHouse, and show which are there.",
        "rollup": "Add up the days whose calls have changed, so that questions are answered fast.",
        "config": "Apply and show tenants, deployments, routes, prices and budgets.",
        "route": "Show where a request would go, and why there.",
        "stage": "Run one stage of the pipeline until it is told to stop.",
        "sink": "Move call rows from Kafka into ClickHouse until told to stop.",
        "watch": "Watch provider health and spending until told to stop.",
        "simulate-provider": "Serve a provider that speaks OpenAI's and Anthropic's protocols and bills nobody.",
        "publish": "Publish requests from a file or from standard input.",
        "responses": "Show answers as they come, until Ctrl-C.",
        "budgets": "Show what is spent of each budget, and let more through where that is meant.",
        "accounts": "Check what limit keeps about spending, and explain why a request was stopped.",
        "costs": "Show what the calls cost, from ClickHouse.",
        "spend-stop": "Show and lift the stops of tenants that spend too fast.",
        "reconcile": "Compare our calls with what a provider says it charged for, and adjust ours to it.",
        "reprice": "Price history again by the prices that are known now for then.",
        "lanes": "Show how many requests wait in each lane, and how long a new one will wait.",
        "estimate": "Say what traffic would cost on other models, with a cache, at another scale.",
        "report": "Write a week's costs, waste, errors and latencies as one HTML file.",
        "cache": "Take back answers that are kept, and put answers there from the log.",
        "dlq": "Look at the records that could not be handled, and give them back.",
        "audit": "Compare requests with responses: what is missing, open or answered twice.",
    }
)

app = typer.Typer(
    name="millrace",
    cls=FaultTelling,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Connections come from MILLRACE_* variables (docs/configuration.md). What is not set there is taken from "
    ".millrace/run/env in the working directory, which `millrace up` writes: so every command finds a local stack.",
)


@app.callback()
def millrace() -> None:
    """An event-driven LLM gateway on Kafka: requests in, answers out, every call priced in ClickHouse."""


def _stand_in() -> None:
    """Never runs: Deferred hands over to the command's own module."""


for _name, _purpose in COMMANDS.items():
    app.command(_name, cls=Deferred, help=_purpose)(_stand_in)


def main() -> None:
    app(prog_name="millrace")

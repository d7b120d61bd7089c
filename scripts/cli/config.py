"""`millrace config`: configuration is events on `llm.control`, and a file is one way to write them."""

import getpass
import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from schemas.headers import AUTHORIZATION, MalformedCredentials, credentials
from scripts.cli.command_group import command_app
from scripts.cli.config_consistency import inconsistencies
from scripts.cli.config_diff import Change, applied, changes, configured, described, summary
from scripts.cli.config_file import parse
from scripts.cli.control_topic import read_control, write_control
from scripts.cli.fault import Fault
from scripts.cli.kafka import BootstrapServers, reach
from scripts.cli.screen import AsJson, show_json, show_table
from streams.control import ControlView

app = command_app("Apply and show tenants, deployments, routes, prices and budgets.")


@app.command(epilog="Example: millrace config apply compose/config/millrace.toml --prune")
def apply(
    file: Annotated[
        Path, typer.Argument(help="TOML file with tables of tenants, deployments, routes, prices and budgets.")
    ],
    values: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Value for ${NAME} in the file. Repeatable."),
    ] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Also remove what is not in the file.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Make the configuration what a file says; only what differs is written."""
    given = assignments(values or [])
    cluster = reach(bootstrap_servers)
    changed = planned(file, given, read_control(cluster).view, prune=prune)
    if not changed:
        print("nothing to change")
        return
    show_table(("change", "object", "fields"), [described(change) for change in changed])
    if dry_run:
        print(f"{len(changed)} would be written")
        return
    version = write_control(cluster, changed)
    print(f"{len(changed)} written and acknowledged; the configuration is at version {version}")


def planned(file: Path, given: Mapping[str, str], view: ControlView, *, prune: bool = False) -> Sequence[Change]:
    """What has to be written so that the configuration is what the file says.

    Raises Fault naming file, object and field: for what is not valid, and for what could not work together.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise Fault(f"{file} cannot be read: {reason}") from error
    changed = changes(view, parse(text, str(file), given), prune=prune)
    if problems := inconsistencies(applied(view, changed)):
        raise Fault("\n".join(f"{file}: {problem}" for problem in problems))
    return changed


def assignments(given: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    for name, sign, _ in pairs:
        if not sign or not name:
            raise Fault(f"--set {name}: write it as NAME=VALUE")
    return {name: value for name, _, value in pairs}


@app.command(epilog="Example: millrace config show --json")
def show(as_json: AsJson = False, bootstrap_servers: BootstrapServers = None) -> None:
    """Show the configuration that the stages obey."""
    state = read_control(reach(bootstrap_servers))
    objects = configured(state.view)
    breakers, slowdowns = state.view.breakers.values(), state.view.slowdowns.values()
    latencies = state.view.latencies.values()
    if as_json:
        watched = (*breakers, *slowdowns, *latencies)
        shown = [each.model_dump(mode="json") for each in (*objects.values(), *watched)]
        show_json({"version": state.view.version, "unreadable": state.unreadable, "objects": shown})
        return
    rows = [(key, summary(each)) for key, each in objects.items()]
    rows += [(f"breaker/{each.name}", f"{each.state}, {each.failure_share:.0%} failed") for each in breakers]
    rows += [(f"latency/{each.name}", f"half within {each.p50_ms} ms, 95 % within {each.p95_ms}") for each in latencies]
    rows += [
        (f"slowdown/{each.name}", f"{each.requests_per_minute} of {each.goal_per_minute} calls a minute")
        for each in slowdowns
    ]
    show_table(("object", "fields"), rows)
    print(f"{len(objects)} objects at version {state.view.version}")
    for key in state.unreadable:
        print(f"{key}: its newest record cannot be read, so an older one is in force; apply it again")


@app.command("hash-key", epilog="Example: openssl rand -hex 32 | tee acme.key | millrace config hash-key")
def hash_key() -> None:
    """Read a tenant's key from standard input and print the hash that `key_sha256` holds."""
    key = (getpass.getpass("key: ") if sys.stdin.isatty() else sys.stdin.readline()).strip()
    if not key:
        raise Fault("there is no key on standard input; give it as one line")
    read = credentials([(AUTHORIZATION, f"Bearer {key}")])
    if read is None or isinstance(read, MalformedCredentials):
        raise Fault("a key is up to 4096 visible ASCII characters without spaces: nothing else can be sent in a header")
    print(hashlib.sha256(read.get_secret_value().encode()).hexdigest())

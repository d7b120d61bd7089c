"""`millrace spend-stop`: tenants that were stopped for spending too fast."""

from typing import Annotated

import typer

from schemas.audit import Audit
from schemas.money import SpendStop
from scripts.cli.command_group import command_app
from scripts.cli.control_topic import read_control
from scripts.cli.fault import Fault
from scripts.cli.kafka import BootstrapServers, reach
from scripts.cli.operator_word import now_ms, operator, say
from scripts.cli.screen import AsJson, show_json, show_table
from scripts.cli.since import clock

app = command_app("Show and lift the stops of tenants that spend too fast.")


@app.command("list", epilog="Example: millrace spend-stop list --json")
def list_(as_json: AsJson = False, bootstrap_servers: BootstrapServers = None) -> None:
    """Show who is stopped, since when and until when, and whose stop is over."""
    stops = sorted(read_control(reach(bootstrap_servers)).view.spend_stops.values(), key=lambda stop: -stop.since_ms)
    at_ms = now_ms()
    if as_json:
        show_json({"stops": [{**stop.model_dump(mode="json"), "state": state_of(stop, at_ms)} for stop in stops]})
        return
    if not stops:
        print("nobody has been stopped")
        return
    show_table(
        ("tenant", "state", "usd a minute", "above", "since (UTC)", "until (UTC)", "by"),
        [
            (
                stop.name,
                state_of(stop, at_ms),
                stop.usd_per_minute,
                stop.threshold_usd,
                clock(stop.since_ms),
                clock(stop.until_ms),
                stop.by,
            )
            for stop in stops
        ],
        right=("usd a minute", "above"),
    )


@app.command(epilog='Example: millrace spend-stop lift acme --reason "a migration, agreed with their team"')
def lift(
    tenant: Annotated[str, typer.Argument(help="Whose requests are to be taken again.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept on llm.audit.")],
    by: Annotated[str | None, typer.Option(help="Who says so. (default: this machine's user)")] = None,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Take a stopped tenant's requests again, before its stop ends by itself.

    What it has spent so far is no reason for another stop; if it goes on like that, it is stopped again.
    """
    if not reason.strip():
        raise Fault("--reason is empty: say in a few words why the tenant may go on")
    cluster = reach(bootstrap_servers)
    stop = read_control(cluster).view.spend_stops.get(tenant)
    at_ms = now_ms()
    if stop is None or state_of(stop, at_ms) != "stopped":
        raise Fault(f"{tenant} is not stopped; see who is with: millrace spend-stop list")
    say(cluster, *lifted(stop, reason=reason.strip(), by=by or operator(), at_ms=at_ms))
    print(f"{tenant} may go on; its stop would have lasted until {clock(stop.until_ms)} UTC")


def state_of(stop: SpendStop, at_ms: int) -> str:
    if at_ms < stop.until_ms:
        return "stopped"
    return "lifted" if stop.until_ms <= stop.since_ms else "over"


def lifted(stop: SpendStop, *, reason: str, by: str, at_ms: int) -> tuple[SpendStop, Audit]:
    """`since_ms` is when it was lifted: what was spent before that is no reason for the next stop."""
    ended = stop.model_copy(update={"since_ms": at_ms, "until_ms": at_ms, "by": by[:128]})
    detail = {
        "usd_per_minute": stop.usd_per_minute,
        "threshold_usd": stop.threshold_usd,
        "since_ms": str(stop.since_ms),
        "until_ms": str(stop.until_ms),
    }
    audit = Audit(
        action="spend_stop_lifted",
        subject=f"spend_stop/{stop.name}",
        by=by[:128],
        reason=reason[:500],
        detail=detail,
        at_ms=at_ms,
    )
    return ended, audit

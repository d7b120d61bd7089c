"""`millrace route`: where would a request go, and why there?"""

import sys
from collections.abc import Sequence
from pathlib import Path
from time import time_ns
from typing import Annotated

import typer
from msgspec.structs import replace

from schemas.flow import NO_NEEDS, Ticket
from schemas.request import Request
from schemas.response import Failure
from scripts.cli.command_group import command_app
from scripts.cli.config import assignments, planned
from scripts.cli.config_diff import applied
from scripts.cli.control_topic import read_control
from scripts.cli.fault import Fault
from scripts.cli.kafka import BootstrapServers, reach
from scripts.cli.screen import AsJson, show_json, show_table
from streams.control import ControlView
from streams.cost.amount import plain
from streams.questions import needs_of
from streams.routes import choose_route
from streams.routing.explanation import Explanation, Weighed, explain
from streams.routing.qualify import Inquiry
from streams.runtime.delivery import Delivery
from streams.runtime.stage import Stateless, View
from streams.stages.validate import accept, bounded, input_tokens, overdue, read, ticket_of
from streams.tenancy import not_served

app = command_app("Show where a request would go, and why there.")

STDIN = "-"
_COLUMNS = ("", "deployment", "model", "region", "may cost USD", "p50 ms", "p95 ms", "why")
_NUMBERS = ("", "may cost USD", "p50 ms", "p95 ms")
_OF_ROUTES = frozenset({"unknown_model", "no_target"})


@app.callback()
def _group() -> None:
    """So that there is a group although it has one command."""


@app.command("explain", epilog="Example: millrace route explain request.json --config compose/config/millrace.toml")
def explain_route(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="One request event as JSON; - reads standard input.")],
    config: Annotated[
        Path | None, typer.Option(help="By this file, without any broker. (default: by what is in force)")
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Value for ${NAME} in that file. Repeatable."),
    ] = None,
    as_json: AsJson = False,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Show where a request would go and why, and send nothing.

    Shows the routes that match it, each target of the one it takes with what it may cost there, in the order in which
    they are asked, and why the others are not. Exit status 1 when none would be asked.
    """
    request = _request(file)
    if config is None:
        control = read_control(reach(bootstrap_servers)).view
    else:
        control = applied(ControlView(), planned(config, assignments(values or []), ControlView()))
    told = explained(request, control, time_ns() // 1_000_000)
    if as_json:
        show_json(_plain(told))
    else:
        _show(told, request)
    if not any(each.place for each in told.targets):
        raise typer.Exit(1)


def explained(request: Request, control: ControlView, now_ms: int) -> Explanation:
    """What `validate` would refuse is asked nowhere; the key of its tenant is taken as shown. Raises Fault for a tenant
    that is not known: there is nothing to say of its requests.
    """
    if request.tenant_id not in control.tenants:
        raise Fault(f"tenant_id {request.tenant_id!r} is not configured; known: {', '.join(sorted(control.tenants))}")
    delivery = Delivery(
        topic="", partition=0, offset=0, key=None, value=request.encode(), headers=(), timestamp_ms=now_ms
    )
    seen = View(control, Stateless(), now_ms, delivery)
    ticket = ticket_of(request, delivery, seen)
    failure = _refused(request, ticket, seen)
    request = bounded(request, control)
    choice = choose_route(control, ticket)
    tokens = 0 if choice is None else input_tokens(request, choice, control)
    inquiry = Inquiry(request.tenant_id, ticket.identity, needs_of(request) or NO_NEEDS, tokens, now_ms)
    told = explain(control, ticket, inquiry)
    return told if failure is None else replace(told, failure=failure, targets=(), judges=())


def _refused(request: Request, ticket: Ticket, seen: View[Stateless]) -> Failure | None:
    """By whatever is looked at before routes and their targets are: of those `explain` tells more."""
    failure = not_served(seen.control, request.tenant_id) or overdue(request, seen.now_ms)
    accepted = failure or accept(request, ticket, seen.delivery, seen)
    return accepted if isinstance(accepted, Failure) and accepted.code not in _OF_ROUTES else None


def _request(file: str) -> Request:
    try:
        content = sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
    except OSError as error:
        raise Fault(f"{file} cannot be read: {error.strerror}") from error
    request = read(content)
    if isinstance(request, Failure):
        raise Fault(f"{'standard input' if file == STDIN else file} is no request: {request.message}")
    return request


def _show(told: Explanation, request: Request) -> None:
    if told.route is None and told.failure is None:
        print(f"no route leads to model {request.model!r} for tenant {request.tenant_id}: it would be refused")
        return
    show_table(
        ("found by", "route", ""),
        [(each.rule, each.route, "taken" if each.is_taken else "less specific") for each in told.considered],
    )
    if told.failure is not None and not told.targets:
        print(f"\nrefused before anybody is asked: {told.failure.message}")
        return
    print()
    show_table(_COLUMNS, [_cells(each) for each in told.targets], right=_NUMBERS)
    print(f"\nroute_reason: {told.reason}")
    if told.cascade:
        print("cascade: an answer that does not pass the route's checks leads to the next model")
    if told.least_mark is not None:
        print(f"judge: asked about each answer that passes; below {told.least_mark:g} it does not")
        show_table(_COLUMNS, [_cells(each) for each in told.judges], right=_NUMBERS)
        if not any(each.place for each in told.judges):
            print("none can be asked: every answer passes")
    if told.failure is not None:
        print(f"refused: {told.failure.message}")
    elif not told.targets or told.targets[0].place is None:
        print(f"refused: route {told.route} has no deployment for model {request.model!r}")


def _cells(each: Weighed) -> Sequence[str]:
    speed = ("-", "-") if each.latency is None else (str(each.latency.p50_ms), str(each.latency.p95_ms))
    usd = "-" if each.usd is None else plain(each.usd)
    place = "out" if each.place is None else str(each.place)
    return (place, each.deployment, each.model, each.region or "-", usd, *speed, each.why)


def _plain(told: Explanation) -> dict[str, object]:
    """Money as text."""
    return {
        "considered": [{"rule": each.rule, "route": each.route, "is_taken": each.is_taken} for each in told.considered],
        "route": told.route,
        "reason": told.reason,
        "cascade": told.cascade,
        "targets": [_plain_target(each) for each in told.targets],
        "judge": None
        if told.least_mark is None
        else {"at_least": told.least_mark, "targets": [_plain_target(each) for each in told.judges]},
        "refused": None if told.failure is None else told.failure.message,
    }


def _plain_target(each: Weighed) -> dict[str, object]:
    return {
        "place": each.place,
        "deployment": each.deployment,
        "model": each.model,
        "region": each.region,
        "usd": None if each.usd is None else plain(each.usd),
        "p50_ms": None if each.latency is None else each.latency.p50_ms,
        "p95_ms": None if each.latency is None else each.latency.p95_ms,
        "why": each.why,
    }

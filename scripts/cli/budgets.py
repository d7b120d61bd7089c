"""`millrace budgets`: what is spent of each budget, and an operator's word to let more through."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

import typer
import uuid_utils

from schemas.audit import Audit
from schemas.money import Budget, Override
from scripts.cli.account_tables import Tables, read_tables
from scripts.cli.again import EveryS, again
from scripts.cli.clickhouse import clickhouse
from scripts.cli.command_group import command_app
from scripts.cli.control_topic import read_control
from scripts.cli.fault import Fault
from scripts.cli.kafka import BootstrapServers, reach
from scripts.cli.operator_word import now_ms, operator, say
from scripts.cli.screen import AsJson, show_json, show_table
from scripts.cli.since import while_ms
from sinks.budget_accounts import store_budgets
from streams.control import ControlView
from streams.cost.amount import plain
from streams.state.registered import AccountKey
from streams.state.spending import period_of

app = command_app("Show what is spent of each budget, and let more through where that is meant.")

_NUMBERS = ("limit", "spent", "of it guessed", "held", "left", "%")
_MONEY = re.compile(r"\d{1,9}(\.\d{1,9})?")
_LONGEST_REASON = 500
_REMOVED = "removed"
Reason = Annotated[str, typer.Option(help="Why; it is kept on llm.audit.")]
By = Annotated[str | None, typer.Option(help="Who says so. (default: the user who runs this)")]


@app.command("list", epilog="Example: millrace budgets list --tenant acme")
def list_(
    tenant: Annotated[str | None, typer.Option(help="Of this tenant only.")] = None,
    past: Annotated[bool, typer.Option("--past", help="Also periods that are over.")] = False,
    as_json: AsJson = False,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """List budgets with what is spent of them and held for requests under way, in their present period."""
    cluster, at_ms = reach(bootstrap_servers), now_ms()
    view = read_control(cluster).view
    lines = standing(view, read_tables(cluster, tenant, at_ms), tenant, at_ms, past=past)
    if as_json:
        show_json(lines)
        return
    if not lines:
        print("no budgets; a configuration file has them as [[budget]] (docs/operations.md)")
        return
    columns = ("budget", "tenant", "subject", "period", *_NUMBERS, "told at")
    show_table(columns, [tuple(line.values()) for line in lines], right=_NUMBERS)


@app.command(epilog="Example: millrace budgets store --every-s 60")
def store(every_s: EveryS = 0, bootstrap_servers: BootstrapServers = None) -> None:
    """Copy where the budgets stand into ClickHouse, for the view budget_status."""

    def work() -> None:
        cluster, at_ms = reach(bootstrap_servers), now_ms()
        view = read_control(cluster).view
        lines = standing(view, read_tables(cluster, None, at_ms), None, at_ms, past=False)
        rows = [_stored(line, at_ms) for line in lines if line["spent"] and line["limit"] != _REMOVED]
        with clickhouse() as (connection, settings):
            store_budgets(connection, settings.database, rows)
        print(f"{len(rows)} accounts stored", flush=True)

    again(every_s, work)


def _stored(line: dict[str, str], at_ms: int) -> dict[str, str | int]:
    return {
        "tenant_id": line["tenant"],
        "budget": line["budget"],
        "subject": line["subject"],
        "period": line["period"],
        "spent_usd": line["spent"],
        "guessed_usd": line["guessed"],
        "limit_usd": line["limit"],
        "at": at_ms,
    }


def standing(view: ControlView, tables: Tables, tenant: str | None, at_ms: int, *, past: bool) -> list[dict[str, str]]:
    """A line for each account, and for each budget of a tenant as a whole; money as text."""
    keys = set(tables.accounts) | set(tables.state.spending.held_accounts(at_ms))
    for budget in view.budgets.values():
        if tenant in {None, budget.tenant} and budget.scope == "tenant" and budget.period is not None:
            keys.add(AccountKey(budget.tenant, budget.name, "", period_of(budget.period, at_ms)))
    lines: list[dict[str, str]] = []
    for key in sorted(keys):
        budget = view.budgets.get(key.budget)
        if not past and budget is not None and key.period != period_of(budget.period or "", at_ms):
            continue
        lines.append(_line(view, budget, key, tables, at_ms))
    lines += [
        {"budget": each.name, "tenant": each.tenant, "subject": "", "period": "each request", "limit": each.usd}
        | dict.fromkeys(("spent", "guessed", "held", "left", "percent", "told"), "")
        for each in view.budgets.values()
        if each.scope == "request" and tenant in {None, each.tenant}
    ]
    return lines


def _line(view: ControlView, budget: Budget | None, key: AccountKey, tables: Tables, at_ms: int) -> dict[str, str]:
    account = tables.state.spending.account(key)
    held = tables.state.spending.held_usd(key, at_ms)
    limit = None
    if budget is not None:
        limit = Decimal(budget.usd) + view.override_usd(key.budget, key.subject, at_ms)
    return {
        "budget": key.budget,
        "tenant": key.tenant_id,
        "subject": key.subject,
        "period": key.period,
        "limit": _REMOVED if limit is None else plain(limit),
        "spent": plain(account.spent_usd),
        "guessed": plain(account.guessed_usd),
        "held": plain(held),
        "left": "" if limit is None else plain(max(limit - account.spent_usd - held, Decimal(0))),
        "percent": f"{account.spent_usd / limit:.0%}"[:-1] if limit else "",
        "told": ", ".join(f"{told.percent} %" for told in account.told),
    }


@app.command(epilog='Example: millrace budgets override acme-month --usd 50 --for 24h --reason "quarter-end report"')
def override(
    name: Annotated[str, typer.Argument(metavar="BUDGET", help="As `millrace budgets list` prints it.")],
    usd: Annotated[str, typer.Option(metavar="USD", help="So much more, in each period it covers.")],
    reason: Reason,
    for_: Annotated[str, typer.Option("--for", metavar="WHILE", help="For so long: 90m, 24h, 7d.")] = "24h",
    subject: Annotated[str, typer.Option(help="For this user or label value only. (default: whoever it is for)")] = "",
    by: By = None,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Let more of a budget through for a while. Who said so and why is kept on llm.audit."""
    cluster, at_ms = reach(bootstrap_servers), now_ms()
    view = read_control(cluster).view
    if name not in view.budgets:
        known = ", ".join(sorted(view.budgets)) or "none"
        raise Fault(f"there is no budget {name}; there is: {known}")
    made = Override(
        name=f"{name}/{uuid_utils.uuid7().hex[:12]}",
        budget=name,
        subject=subject,
        usd=_money(usd),
        until_ms=at_ms + while_ms(for_),
        reason=_reason(reason),
        by=by or operator(),
        made_at_ms=at_ms,
    )
    until = datetime.fromtimestamp(made.until_ms / 1_000, UTC)
    detail = {"override": made.name, "usd": made.usd, "subject": subject, "until": f"{until:%Y-%m-%d %H:%M} UTC"}
    told = Audit(
        action="budget_override", subject=f"budget/{name}", by=made.by, reason=made.reason, detail=detail, at_ms=at_ms
    )
    say(cluster, made, told)
    print(f"{made.name}: {made.usd} USD more of {name} until {until:%Y-%m-%d %H:%M} UTC")


@app.command("end-override", epilog="Example: millrace budgets end-override acme-month/01935f --reason done")
def end_override(
    name: Annotated[
        str, typer.Argument(metavar="OVERRIDE", help="Its name, as `millrace budgets override` printed it.")
    ],
    reason: Reason,
    by: By = None,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """End an override before its time."""
    cluster, at_ms = reach(bootstrap_servers), now_ms()
    made = read_control(cluster).view.overrides.get(name)
    if made is None or made.until_ms <= at_ms:
        raise Fault(f"there is no override {name} in force")
    told = Audit(
        action="override_ended",
        subject=f"budget/{made.budget}",
        by=by or operator(),
        reason=_reason(reason),
        detail={"override": name, "usd": made.usd},
        at_ms=at_ms,
    )
    say(cluster, made.model_copy(update={"until_ms": at_ms}), told)
    print(f"{name} has ended")


def _money(text: str) -> str:
    if not _MONEY.fullmatch(text) or not Decimal(text):
        raise Fault(f"--usd {text}: give an amount of USD above 0, with at most nine digits behind the point")
    return plain(Decimal(text))


def _reason(text: str) -> str:
    if not 0 < len(text.strip()) <= _LONGEST_REASON:
        raise Fault(f"--reason: say why, in up to {_LONGEST_REASON} characters")
    return text.strip()

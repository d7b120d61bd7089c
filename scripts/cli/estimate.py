"""`millrace estimate`: what would this traffic cost?"""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from time import time_ns
from typing import Annotated

import typer
from confluent_kafka import KafkaException

from schemas.usage import Usage
from scripts.cli.command_group import command_app
from scripts.cli.control_topic import read_control
from scripts.cli.expected_traffic import measured, traced
from scripts.cli.fault import Fault, sentence_of
from scripts.cli.kafka import BootstrapServers, reach
from scripts.cli.screen import AsJson, show_json, show_table
from scripts.cli.since import WAYS
from streams.control import ControlView
from streams.cost.agreed import Priceable, cost_of
from streams.cost.outlook import Expected, NoPrice, Seller, as_measured, mixed, outlook
from streams.cost.price import price_version
from streams.cost.usage import ProviderName

app = command_app()

_PROVIDERS: tuple[ProviderName, ...] = ("openai", "anthropic")
_HEADINGS = (
    "model",
    "share",
    "requests a month",
    "USD a request",
    "input USD",
    "output USD",
    "USD a day",
    "USD a month",
)


@app.command(epilog="Example: millrace estimate --since 7d --model gpt-4o-mini=0.8 --model claude-haiku-4-5=0.2")
def estimate(
    since: Annotated[str, typer.Option(help=f"Measured traffic since then: {WAYS}.")] = "7d",
    trace: Annotated[
        Path | None,
        typer.Option(help="Instead: a CSV with TIMESTAMP, ContextTokens and GeneratedTokens of each request."),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[PROVIDER|DEPLOYMENT/]MODEL=SHARE",
            help="Who would answer which share. Repeatable. (default: as measured)",
        ),
    ] = None,
    cache_rate: Annotated[
        str | None, typer.Option(metavar="SHARE", help="Answered by the cache, 0 to 1. (default: as measured)")
    ] = None,
    requests: Annotated[
        int | None, typer.Option(min=1, help="Requests in a month of 30 days. (default: as measured)")
    ] = None,
    tenant: Annotated[list[str] | None, typer.Option(help="Only this tenant's traffic. Repeatable.")] = None,
    list_prices: Annotated[
        bool, typer.Option("--list-prices", help="Public lists only. (default: our own prices first, as on Kafka)")
    ] = False,
    as_json: AsJson = False,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Say what traffic would cost on other models, with a cache, at another scale.

    Lengths and durations come from measured history, or lengths from a trace. Prices are those of now: our own, where
    Kafka can be asked for them, and the public lists. Attempts that fail are not in it: `millrace report` shows what
    they cost.
    """
    now_ms, tenants = time_ns() // 1_000_000, tuple(tenant or ())
    basis = traced(trace, tenants, now_ms) if trace else measured(since, tenants, now_ms)
    rate = basis.cache_rate if cache_rate is None else _share("--cache-rate", cache_rate)
    a_month = basis.requests_a_month if requests is None else Decimal(requests)
    control, whose = (ControlView(), "public lists") if list_prices else own_prices(bootstrap_servers)
    if model:
        portions = mixed(basis.calls, mix_of(model, control, now_ms))
    elif trace:
        raise Fault("a trace names no models: say who would answer, as --model gpt-4o-mini=1")
    else:
        portions = as_measured(basis.calls)
    try:
        lines = outlook(portions, a_month, rate, partial(cost_of, control))
    except NoPrice as error:
        raise Fault(f"--model: {error}; write it as PROVIDER/MODEL, as the public lists have it") from error
    if as_json:
        money = [_plain(line) for line in lines]
        total = f"{sum((line.month_usd for line in lines), Decimal(0)):.9f}"
        prices = {"prices": whose, "price_version": price_version(), "price_versions": _versions(lines)}
        said = {"basis": basis.told, "cache_rate": str(rate), **prices}
        show_json({**said, "requests_a_month": int(a_month), "lines": money, "month_usd": total})
        return
    print(f"{basis.told}; {rate:.1%} from the cache, {int(a_month)} requests a month")
    print(f"prices: {whose}; {', '.join(_versions(lines))}")
    show_table(_HEADINGS, [*map(_cells, lines), _total(lines)], right=_HEADINGS[1:])


def mix_of(given: Sequence[str], control: ControlView, now_ms: int) -> dict[Seller, Decimal]:
    """Shares by who sells. Raises Fault, naming the one that is wrong."""
    found: dict[Seller, Decimal] = {}
    for text in given:
        name, sign, share = text.rpartition("=")
        if not sign or not name:
            raise Fault(f"--model {text}: write it as MODEL=SHARE, such as gpt-4o-mini=0.8")
        found[_named(name, control, now_ms)] = _share(f"--model {name}", share)
    if sum(found.values()) != 1:
        raise Fault(f"--model: the shares add up to {sum(found.values())}; they must make 1")
    return found


def _named(name: str, control: ControlView, now_ms: int) -> Seller:
    seller, _, model = name.partition("/")
    known = [Seller(provider, name) for provider in _PROVIDERS]
    if model and (deployment := control.deployments.get(seller)) is not None:
        known.insert(0, Seller(deployment.price_as or deployment.provider, model, seller))
    elif model:
        known.append(Seller(seller, model))
    for each in known:
        call = Priceable("", each.deployment, each.provider, (each.model,), now_ms)
        if cost_of(control, call, Usage()).total_usd is not None:
            return each
    raise Fault(
        f"--model {name}: nobody knows its price; write it as PROVIDER/MODEL, as the public lists have it, or as "
        "DEPLOYMENT/MODEL, where it has a price of our own"
    )


def _share(option: str, text: str) -> Decimal:
    try:
        share = Decimal(text)
    except InvalidOperation:
        share = Decimal(-1)
    if not 0 <= share <= 1:
        raise Fault(f"{option} is {text}; a share is a number from 0 to 1")
    return share


def own_prices(bootstrap_servers: str | None) -> tuple[ControlView, str]:
    """And in words, whose prices count."""
    try:
        control = read_control(reach(bootstrap_servers)).view
    except (Fault, KafkaException, TimeoutError) as error:
        return ControlView(), f"public lists only, as our own could not be read ({sentence_of(error)})"
    return control, f"{', '.join(sorted(control.prices)) or 'none'} of our own, then public lists"


def _versions(lines: Sequence[Expected]) -> list[str]:
    return sorted({version for line in lines for version in line.price_versions})


def _cells(line: Expected) -> tuple[str, ...]:
    amounts = (line.input_usd, line.output_usd, line.day_usd, line.month_usd)
    counts = (f"{line.share:.1%}", f"{line.requests_a_month:.0f}", f"{line.request_usd:.6f}")
    return (line.model, *counts, *(f"{usd:.2f}" for usd in amounts))


def _total(lines: Sequence[Expected]) -> tuple[str, ...]:
    def summed(name: str) -> Decimal:
        return sum((getattr(line, name) for line in lines), Decimal(0))

    requests = summed("requests_a_month")
    amounts = [summed(name) for name in ("input_usd", "output_usd", "day_usd", "month_usd")]
    each = amounts[-1] / requests if requests else Decimal(0)
    return ("total", f"{summed('share'):.1%}", f"{requests:.0f}", f"{each:.6f}", *(f"{usd:.2f}" for usd in amounts))


def _plain(line: Expected) -> dict[str, object]:
    """Money and shares as text."""
    amounts = ("request_usd", "input_usd", "output_usd", "day_usd", "month_usd")
    who = {"provider": line.provider, "model": line.model, "share": f"{line.share:f}"}
    money = {name: f"{getattr(line, name):.9f}" for name in amounts}
    return {**who, "requests_a_month": f"{line.requests_a_month:.0f}", **money}

"""`millrace estimate`: what would this traffic cost?"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from time import time_ns
from typing import Annotated

import typer

from schemas.usage import Usage
from scripts.bench.trace import UnreadableTrace
from scripts.bench.trace import read as read_trace
from scripts.cli.clickhouse import clickhouse
from scripts.cli.command_group import command_app
from scripts.cli.fault import Fault
from scripts.cli.screen import AsJson, show_json, show_table
from scripts.cli.since import WAYS, since_ms
from sinks.traffic import traffic
from streams.cost.outlook import DAYS_A_MONTH, Expected, NoPrice, PriceOf, as_measured, mixed, outlook
from streams.cost.price import price, price_version
from streams.cost.usage import ProviderName

app = command_app()

_DAY_MS = 86_400_000
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


@dataclass(frozen=True, slots=True)
class _Basis:
    """`told` says in words where it comes from. `calls`: provider, model and usage."""

    told: str
    calls: Sequence[tuple[str, str, Usage]]
    requests_a_month: Decimal
    cache_rate: Decimal


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
            metavar="[PROVIDER/]MODEL=SHARE", help="Who would answer which share. Repeatable. (default: as measured)"
        ),
    ] = None,
    cache_rate: Annotated[
        str | None, typer.Option(metavar="SHARE", help="Answered by the cache, 0 to 1. (default: as measured)")
    ] = None,
    requests: Annotated[
        int | None, typer.Option(min=1, help="Requests in a month of 30 days. (default: as measured)")
    ] = None,
    tenant: Annotated[list[str] | None, typer.Option(help="Only this tenant's traffic. Repeatable.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what traffic would cost on other models, with a cache, at another scale.

    Lengths come from measured history or from a trace, prices from the public lists as they are now. Attempts that
    fail are not in it: `millrace report` shows what they cost.
    """
    basis = _traced(trace) if trace else _measured(since, tuple(tenant or ()))
    rate = basis.cache_rate if cache_rate is None else _share("--cache-rate", cache_rate)
    a_month = basis.requests_a_month if requests is None else Decimal(requests)
    price_of = _prices(time_ns() // 1_000_000)
    if model:
        portions = mixed([used for _, _, used in basis.calls], mix_of(model, price_of))
    elif trace:
        raise Fault("a trace names no models: say who would answer, as --model gpt-4o-mini=1")
    else:
        portions = as_measured(basis.calls)
    try:
        lines = outlook(portions, a_month, rate, price_of)
    except NoPrice as error:
        raise Fault(f"--model: {error}; write it as PROVIDER/MODEL, as the public lists have it") from error
    if as_json:
        money = [_plain(line) for line in lines]
        total = f"{sum((line.month_usd for line in lines), Decimal(0)):.9f}"
        said = {"basis": basis.told, "cache_rate": str(rate), "price_version": price_version()}
        show_json({**said, "requests_a_month": int(a_month), "lines": money, "month_usd": total})
        return
    print(f"{basis.told}; {rate:.1%} from the cache, {int(a_month)} requests a month, prices {price_version()}")
    show_table(_HEADINGS, [*map(_cells, lines), _total(lines)], right=_HEADINGS[1:])


def mix_of(given: Sequence[str], price_of: PriceOf) -> dict[tuple[str, str], Decimal]:
    """Shares by provider and model. Raises Fault, naming the one that is wrong."""
    found: dict[tuple[str, str], Decimal] = {}
    for text in given:
        name, sign, share = text.rpartition("=")
        if not sign or not name:
            raise Fault(f"--model {text}: write it as MODEL=SHARE, such as gpt-4o-mini=0.8")
        found[_named(name, price_of)] = _share(f"--model {name}", share)
    if sum(found.values()) != 1:
        raise Fault(f"--model: the shares add up to {sum(found.values())}; they must make 1")
    return found


def _named(name: str, price_of: PriceOf) -> tuple[str, str]:
    for provider in _PROVIDERS:
        if price_of(provider, name, Usage()).total_usd is not None:
            return provider, name
    provider, _, model = name.partition("/")
    if not model or price_of(provider, model, Usage()).total_usd is None:
        raise Fault(f"--model {name}: nobody knows its price; write it as PROVIDER/MODEL, as the public lists have it")
    return provider, model


def _share(option: str, text: str) -> Decimal:
    try:
        share = Decimal(text)
    except InvalidOperation:
        share = Decimal(-1)
    if not 0 <= share <= 1:
        raise Fault(f"{option} is {text}; a share is a number from 0 to 1")
    return share


def _measured(since: str, tenants: tuple[str, ...]) -> _Basis:
    now_ms = time_ns() // 1_000_000
    with clickhouse() as (connection, settings):
        found = traffic(connection, settings.database, since_ms(since, now_ms), tenants)
    if found.first_ms is None or not found.calls:
        raise Fault(f"no call was answered since {since}: look further back with --since, or give a --trace")
    # history that is younger than the period says nothing of the days before it
    days = Decimal(max(now_ms - found.first_ms, 60_000)) / _DAY_MS
    told = f"measured: {found.requests} answered requests in {days:.2f} days"
    return _Basis(told, found.calls, found.requests / days * DAYS_A_MONTH, Decimal(found.from_cache) / found.requests)


def _traced(file: Path) -> _Basis:
    try:
        arrivals = read_trace(file)
    except UnreadableTrace as error:
        raise Fault(f"--trace: {error}") from error
    calls = [
        ("", "", Usage(uncached_input_tokens=each.prompt_tokens, text_output_tokens=each.answer_tokens))
        for each in arrivals
    ]
    days = Decimal(max(arrivals[-1].at_s, 60)) / 86_400
    told = f"{file.name}: {len(arrivals)} requests in {days:.2f} days"
    return _Basis(told, calls, len(arrivals) / days * DAYS_A_MONTH, Decimal(0))


def _prices(now_ms: int) -> PriceOf:
    return lambda provider, model, used: price(provider, model, used, now_ms)


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

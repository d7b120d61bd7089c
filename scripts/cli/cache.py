"""`millrace cache`: answers that are kept, taken back, and put there again."""

import re
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from schemas.audit import Audit
from schemas.cached import Fill, Invalidated
from schemas.request import LABEL_KEY_PATTERN
from scripts.cli.cache_topic import AnswersInLog, CacheWriter, Partitions, read_kept
from scripts.cli.command_group import command_app
from scripts.cli.control_topic import read_control
from scripts.cli.fault import Fault, Unknown
from scripts.cli.kafka import BootstrapServers, reach
from scripts.cli.operator_word import audited, now_ms, operator, tell
from scripts.cli.screen import AsJson, err, show_json
from scripts.cli.since import WAYS, since_ms
from streams.state.kept_answers import KeptAnswers
from streams.state.taken_back import TakenBack, may_concern

app = command_app("Take back answers that are kept, and put answers there from the log.")

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and change nothing.")]


@app.command(epilog='Example: millrace cache invalidate --tenant acme --namespace faq-v3 --reason "prices changed"')
def invalidate(
    tenant: Annotated[str, typer.Option(help="Whose answers.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept on llm.audit.")],
    namespace: Annotated[
        str | None, typer.Option(help="Only in the namespace that requests name so in cache_namespace. (default: all)")
    ] = None,
    response: Annotated[
        str | None, typer.Option(metavar="REQUEST_ID", help="Only the answer to this request. (default: all)")
    ] = None,
    by: Annotated[str | None, typer.Option(help="Who says so. (default: this machine's user)")] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Also where no such tenant or answer is known, which may be a typing mistake."),
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Take back kept answers: whatever was asked until now is not given again, by any worker, now or after a restart.

    Also what is being asked at this moment: who asks is answered, and nobody else is given that answer.
    """
    if not reason.strip():
        raise Fault("--reason is empty: say in a few words why the answers may not be given any more")
    if namespace is not None and re.match(LABEL_KEY_PATTERN, namespace) is None:
        raise Fault(f"--namespace {namespace!r} is no name that a request can have in cache_namespace")
    cluster, at_ms = reach(bootstrap_servers), now_ms()
    event = Invalidated(tenant_id=tenant, namespace=namespace, response=response, before_ms=at_ms)
    kept = read_kept(cluster, at_ms)
    found = concerned(kept, event, at_ms)
    if not (found or force or is_asked(kept, event, at_ms)):
        _refuse_unknown(event, is_tenant=tenant in read_control(cluster).view.tenants)
    if not dry_run:
        tell(cluster, _audit(event, len(found), reason.strip(), by or operator()))
        writer = CacheWriter(cluster)
        writer.take_back(event)
        writer.confirm()
    if as_json:
        show_json({"answers": len(found), "cost_usd": f"{_cost(found):f}", "taken_back": not dry_run})
        return
    verb = "would be taken back" if dry_run else "taken back"
    print(f"{len(found)} answers {verb}; to have them cost {_cost(found):f} USD")


def concerned(kept: Partitions, event: Invalidated, at_ms: int) -> list[Fill]:
    """What is kept, is good until later than `at_ms`, and is taken back."""
    taken_back = TakenBack()
    taken_back.add(event, at_ms)
    fills = (fill for state in kept.values() for fill in state.fills())
    return [fill for fill in fills if fill.expires_at_ms > at_ms and taken_back.covers(fill)]


def is_asked(kept: Partitions, event: Invalidated, at_ms: int) -> bool:
    """Whether a question that it concerns is on its way."""
    return any(
        may_concern(event, flight.entry) and event.response in {None, flight.identity.partition("/")[2]}
        for state in kept.values()
        for flight in state.flights(at_ms)
    )


def _refuse_unknown(event: Invalidated, *, is_tenant: bool) -> None:
    """Where all of a tenant's answers are meant, and it has none, there is nothing that could be mistyped."""
    all_the_same = "or take it back all the same with --force"
    if not is_tenant:
        raise Unknown(
            f"there is no tenant {event.tenant_id}; see who there is with: millrace config show, {all_the_same}"
        )
    if event.namespace is None and event.response is None:
        return
    which = "" if event.response is None else f" to request {event.response}"
    where = "" if event.namespace is None else f" in namespace {event.namespace}"
    raise Unknown(
        f"no answer{which} of tenant {event.tenant_id} is kept{where}, and none is being asked for; check how it is "
        f"written, {all_the_same}"
    )


@app.command(epilog="Example: millrace cache warm --from 24h --tenant acme --dry-run")
def warm(
    start: Annotated[str, typer.Option("--from", help=f"What was answered since then: {WAYS}.")] = "24h",
    tenant: Annotated[list[str] | None, typer.Option(help="Only this tenant's. Repeatable. (default: all)")] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Put answers back that the log still has and the cache has not: nobody is asked, and nothing is paid.

    They made room for others, or their tenant's cache_ttl_s was shorter then. It counts from when each was given, as it
    is now. What was taken back, and what is newer, stays so.
    """
    cluster, at_ms = reach(bootstrap_servers), now_ms()
    control = read_control(cluster).view
    unknown = sorted(set(tenant or ()) - set(control.tenants))
    if unknown:
        raise Fault(f"there is no tenant {', '.join(unknown)}; see who there is with: millrace config show")
    writer, answers, cost_usd = CacheWriter(cluster), 0, Decimal(0)
    log = AnswersInLog(cluster, control, since_ms(start, at_ms))
    kept = read_kept(cluster, at_ms)
    with _progress(log.records) as advance:
        given = (fill for fill in log.read(advance) if _is_of(fill, tenant))
        for fill, is_new in lacking(kept, given, writer.partition_of, at_ms):
            if not dry_run and not answers:
                whose = "+".join(tenant or ()) or "all"
                reason = f"answers given since {start}"
                tell(cluster, audited("cache_warmed", f"tenant/{whose}", reason=reason, detail={"since": start}))
            if not dry_run:
                writer.put(fill)
            answers += is_new
            cost_usd += (fill.saved.cost_usd or Decimal(0)) * is_new
    writer.confirm()
    if as_json:
        show_json({"answers": answers, "cost_usd": f"{cost_usd:f}", "written": not dry_run})
        return
    verb = "would be put back" if dry_run else "put back"
    print(f"{answers} answers {verb}; to have them cost {cost_usd:f} USD")


def lacking(
    kept: Partitions, given: Iterable[Fill], partition_of: Callable[[Fill], int], at_ms: int
) -> Iterator[tuple[Fill, bool]]:
    """Of what was given, in that order, what workers would keep if they were given it, and have not; and whether they
    have none to that question. Oldest first, the newest stay the longest; of several answers the newest is kept.
    """
    states = dict(kept)
    for fill in given:
        state = states.setdefault(partition_of(fill), KeptAnswers())
        there = state.fill(fill.entry, at_ms)
        if fill.expires_at_ms <= at_ms or (there is not None and there.stored_at_ms >= fill.stored_at_ms):
            continue
        state.apply(fill, at_ms)
        if state.fill(fill.entry, at_ms) == fill:
            yield fill, there is None


@contextmanager
def _progress(records: int) -> Generator[Callable[[int], None]]:
    columns = (TextColumn("reading"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TimeElapsedColumn())
    console = err()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("reading", total=records)
        yield lambda count: progress.advance(task, count)


def _is_of(fill: Fill, tenants: list[str] | None) -> bool:
    return not tenants or fill.namespace.partition("/")[0] in tenants


def _cost(fills: list[Fill]) -> Decimal:
    """Of those whose cost is known."""
    return sum((fill.saved.cost_usd or Decimal(0) for fill in fills), Decimal(0))


def _audit(event: Invalidated, answers: int, reason: str, by: str) -> Audit:
    detail = {
        "namespace": event.namespace or "",
        "response": event.response or "",
        "answers": str(answers),
        "before_ms": str(event.before_ms),
    }
    return Audit(
        action="cache_invalidated",
        subject=f"tenant/{event.tenant_id}"[:256],
        by=by[:128],
        reason=reason[:500],
        detail=detail,
        at_ms=event.before_ms,
    )

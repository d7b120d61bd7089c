"""`millrace dlq`: the records that could not be handled, why, and a way back for them."""

import base64
import heapq
from collections import Counter
from dataclasses import asdict
from typing import Annotated

import typer

from schemas.participants import Part
from scripts.cli.command_group import command_app
from scripts.cli.dead_letter import DeadLetter, shown_headers
from scripts.cli.dead_letters import Buried, chosen, letters_at, past_redrives, places_of
from scripts.cli.fault import Fault
from scripts.cli.kafka import BootstrapServers, reach
from scripts.cli.redrive import Consent
from scripts.cli.redrive_outcome import Unfit
from scripts.cli.redrive_plan import give_back, planned
from scripts.cli.screen import AsJson, out, show_json, show_table, visible
from scripts.cli.since import WAYS
from streams.runtime.outcome import Reason

app = command_app("Look at the records that could not be handled, and give them back.")

_LONGEST_REASON = 500
Since = Annotated[str | None, typer.Option(help=f"Written since then: {WAYS}. (default: all)")]
OfReason = Annotated[Reason | None, typer.Option("--reason", help="For this reason only.")]
OfStage = Annotated[Part | None, typer.Option("--stage", help="Of this stage only.")]


@app.command("list", epilog="Example: millrace dlq list --since 24h --reason decision_failed")
def list_(
    since: Since = None,
    reason: OfReason = None,
    stage: OfStage = None,
    last: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 100,
    as_json: AsJson = False,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """List dead letters, oldest first: why, by which stage, and where the record was. Payloads are not shown."""
    cluster = reach(bootstrap_servers)
    newest = heapq.nlargest(last, ((_age(each), each.letter) for each in chosen(cluster, since, reason, stage)))
    letters, past = [letter for _, letter in sorted(newest, key=lambda each: each[0])], past_redrives(cluster)
    if as_json:
        show_json([{**asdict(letter), "redriven": letter.place in past.letters} for letter in letters])
        return
    if not letters:
        print("no dead letters")
        return
    show_table(
        ("partition/offset", "at", "stage", "reason", "detail", "origin", "bytes", "redriven"),
        [(*_line(each), "yes" if each.place in past.letters else "") for each in letters],
        right=("bytes",),
    )
    print(f"{len(letters)} dead letters; look at one: millrace dlq show {letters[-1].place}")


@app.command(epilog="Example: millrace dlq counts --since 7d")
def counts(
    since: Since = None,
    reason: OfReason = None,
    stage: OfStage = None,
    as_json: AsJson = False,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Count dead letters by stage and reason, and how many of them were given back."""
    cluster = reach(bootstrap_servers)
    past = past_redrives(cluster)
    found, redriven = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for letter, _ in chosen(cluster, since, reason, stage):
        found[letter.stage, letter.reason] += 1
        redriven[letter.stage, letter.reason] += letter.place in past.letters
    rows = [(*kind, times, redriven[kind]) for kind, times in sorted(found.items())]
    columns = ("stage", "reason", "letters", "redriven")
    if as_json:
        show_json([dict(zip(columns, row, strict=True)) for row in rows])
    elif rows:
        show_table(columns, rows, right=columns[2:])
    else:
        print("no dead letters")


@app.command(epilog="Example: millrace dlq show 3/17 --payload")
def show(
    place: Annotated[str, typer.Argument(metavar="PARTITION/OFFSET", help="As `millrace dlq list` prints it.")],
    payload: Annotated[
        bool, typer.Option("--payload", help="Also print the record itself: it may be private.")
    ] = False,
    as_json: AsJson = False,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Show one dead letter with its headers."""
    places = places_of([place])
    ((letter, record),) = letters_at(reach(bootstrap_servers), places)
    headers = shown_headers(record)
    if as_json:
        shown = {"payload_base64": base64.b64encode(record.value or b"").decode()} if payload else {}
        show_json({"letter": letter, "headers": headers, **shown})
        return
    names = ("partition/offset", "at", "stage", "reason", "detail", "origin", "bytes")
    show_table(("field", "value"), zip(names[1:], _line(letter)[1:], strict=True))
    print()
    show_table(("header", "value"), headers)
    if payload:
        print()
        _print_payload(record.value or b"")


@app.command("redrive", epilog='Example: millrace dlq redrive --stage limit --since 2h --because "fixed in 1.4.2"')
def redrive_(
    places: Annotated[
        list[str] | None, typer.Argument(metavar="[PARTITION/OFFSET]…", help="These. (default: all that is chosen)")
    ] = None,
    since: Since = None,
    reason: OfReason = None,
    stage: OfStage = None,
    model: Annotated[str | None, typer.Option(help="Ask this model, and so take its route, instead.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the oldest.")] = 100,
    again: Annotated[
        bool, typer.Option("--again", help="Also what was given back before, as the same requests: each counts once.")
    ] = False,
    anew: Annotated[
        bool, typer.Option("--anew", help="Also what was given back before, as one more request each.")
    ] = False,
    unproven: Annotated[
        bool, typer.Option("--unproven", help="Also what may be paid for, or answered, twice: the plan says why.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")] = False,
    because: Annotated[str, typer.Option(help="Why; it is kept on llm.audit.")] = "",
    as_json: AsJson = False,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Give dead letters back, after what kept them from being handled is repaired.

    What nobody was told of goes back as it is. A request whose requester was told that it failed is done again under a
    new id, ID~redrive-PLACE, which its response and rows link to ID (root_request_id), from its limits on and without
    its deadline. Exit status 1 when there was something to give back and none of it could be.
    """
    if not dry_run and not 0 < len(because.strip()) <= _LONGEST_REASON:
        raise Fault(f"--because: say why, in up to {_LONGEST_REASON} characters; or see first, with --dry-run")
    named = places_of(places or ())
    cluster = reach(bootstrap_servers)
    past = past_redrives(cluster)
    if named:
        found = letters_at(cluster, named)
    else:
        old = frozenset[str]() if again or anew else past.letters
        fresh = (each for each in chosen(cluster, since, reason, stage) if each.letter.place not in old)
        found = heapq.nsmallest(limit, fresh, key=_age)
    consents: dict[Consent, bool] = {"again": again, "anew": anew, "unproven": unproven}
    plans = planned(cluster, found, past, model, frozenset(each for each, is_meant in consents.items() if is_meant))
    going = [each for each in plans if not isinstance(each.what, Unfit)]
    if as_json:
        show_json([each.shown() for each in plans])
    elif plans:
        show_table(
            ("partition/offset", "tenant", "stage", "reason", "what becomes of it"), [each.line() for each in plans]
        )
    else:
        print("no dead letters to give back")
    if going and not dry_run:
        if not yes:
            typer.confirm(f"give {len(going)} back?", abort=True, err=True)
        give_back(cluster, going, because.strip())
    if not as_json and plans:
        done = "would be given back" if dry_run else "given back"
        print(f"{len(going)} {done}, {len(plans) - len(going)} cannot be")
    if plans and not going:
        raise typer.Exit(1)


def _age(each: Buried) -> tuple[int, int, int]:
    return each.record.timestamp_ms, each.record.partition, each.record.offset


def _line(letter: DeadLetter) -> tuple[str, str, str, str, str, str, int]:
    return letter.place, letter.at, letter.stage, letter.reason, letter.detail, letter.origin, letter.size


def _print_payload(value: bytes) -> None:
    """Text as text, line by line; anything else as base64, since raw bytes could command the terminal."""
    try:
        lines = value.decode().splitlines()
    except UnicodeDecodeError:
        print(base64.b64encode(value).decode())
        return
    for line in lines:
        out().print(visible(line), soft_wrap=True)

"""`millrace audit`: is every request answered exactly once?"""

from collections.abc import Iterator
from time import time_ns
from typing import Annotated

import typer

from schemas.topics import DEAD_LETTERS, REQUESTS, RESPONSES
from scripts.cli.audit_fold import Asked, Bounds, Replied, Report, asked, buried, fold, replied
from scripts.cli.command_group import command_app
from scripts.cli.kafka import BootstrapServers, LiveCluster, reach
from scripts.cli.screen import AsJson, show_json, show_table
from scripts.cli.since import WAYS, clock, since_ms, while_ms
from scripts.cli.topic_reader import TopicReader
from streams.state.accounts import REMEMBERED_MS

app = command_app()

_MOST_SHOWN = 20


@app.command(epilog="Example: millrace audit --since 24h --json")
def audit(
    since: Annotated[str | None, typer.Option(help=f"Requests written since then: {WAYS}. (default: all)")] = None,
    open_within: Annotated[
        str, typer.Option(help="A request without a response is open, not missing, while it is younger than this.")
    ] = "5m",
    as_json: AsJson = False,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Compare requests with responses: what is missing, open or answered twice.

    Exit status 1 when a request is missing or answered twice.
    """
    now_ms = time_ns() // 1_000_000
    start_ms = None if since is None else since_ms(since, now_ms)
    report = audited(reach(bootstrap_servers), start_ms, patience_ms=while_ms(open_within))
    if as_json:
        show_json(report)
    else:
        _tell(report)
    if not report.is_sound:
        raise typer.Exit(1)


def audited(cluster: LiveCluster, start_ms: int | None, *, patience_ms: int) -> Report:
    """Reads requests from `start_ms` on (None: all), then responses and dead letters: so an answer that comes while we
    read is never taken for one to a request that is not there.
    """
    with TopicReader(cluster, REQUESTS) as reader:
        topic, window = reader.topic, reader.spans(start_ms)
        requests = [asked(record) for record in reader.read(window)]
    now_ms = time_ns() // 1_000_000
    # what covers a repeated id may have been answered as long ago as an id is remembered
    answers_from_ms = None if start_ms is None else max(start_ms - REMEMBERED_MS, 0)
    with TopicReader(cluster, RESPONSES) as reader:
        responses = [replied(record) for record in reader.read(reader.spans(answers_from_ms))]
    with TopicReader(cluster, DEAD_LETTERS) as reader:
        letters = [buried(record, topic) for record in reader.read(reader.spans(start_ms))]
    return fold(requests, responses, letters, Bounds(topic, window, now_ms, patience_ms))


def _tell(report: Report) -> None:
    counts = (
        ("requests", report.requests),
        ("of them repeated ids", report.repeated),
        ("responses", report.responses),
        ("open", len(report.open)),
        ("missing", len(report.missing)),
        ("answered twice", len(report.twice)),
        ("responses to no request", len(report.unasked)),
        ("unreadable responses", report.unreadable_responses),
        *((f"dead letters, {what}", count) for what, count in sorted(report.dead_letters.items())),
    )
    show_table(("what", "count"), counts, right=("count",))
    found = [*findings(report)]
    if found:
        print()
        show_table(("finding", "what", "where", "since"), found[:_MOST_SHOWN])
    if len(found) > _MOST_SHOWN:
        print(f"and {len(found) - _MOST_SHOWN} more: see --json")
    print("every request is answered exactly once" if report.is_sound and not report.open else _verdict(report))


def _verdict(report: Report) -> str:
    if report.is_sound:
        return f"{len(report.open)} requests are still open; nothing is missing or answered twice"
    return "not sound: some requests are missing or answered twice"


def findings(report: Report) -> Iterator[tuple[str, str, str, str]]:
    yield from (_unanswered("missing", each) for each in report.missing)
    for each in report.twice:
        yield "answered twice", each.identity, ", ".join(f"{p.topic}/{p.partition}/{p.offset}" for p in each.places), ""
    yield from (_unanswered("open", each) for each in report.open)
    yield from (_answer_to_nothing(each) for each in report.unasked)


def _unanswered(finding: str, each: Asked) -> tuple[str, str, str, str]:
    place = each.place
    return finding, each.identity, f"{place.topic}/{place.partition}/{place.offset}", clock(each.at_ms)


def _answer_to_nothing(each: Replied) -> tuple[str, str, str, str]:
    place = each.place
    return "no request", each.identity, f"{place.topic}/{place.partition}/{place.offset}", ""

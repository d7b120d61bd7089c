"""`millrace responses`: the answers, as they come."""

import heapq
import sys
from collections.abc import Iterator
from contextlib import suppress
from time import time_ns
from typing import Annotated

import typer

from schemas.partition import partition_for
from schemas.response import Response
from schemas.topics import RESPONSES
from schemas.wire import DecodeError
from scripts.cli.command_group import command_app
from scripts.cli.kafka import BootstrapServers, reach
from scripts.cli.offsets import Spans
from scripts.cli.response_line import HEADINGS, cells, line
from scripts.cli.screen import out, visible
from scripts.cli.since import WAYS, since_ms
from scripts.cli.topic_reader import TopicReader
from streams.runtime.delivery import Delivery

app = command_app()


@app.command(epilog="Example: millrace responses --request-id order-4711 --json")
def responses(
    follow: Annotated[bool, typer.Option("--follow/--once", help="Wait for more, or end with what is there.")] = True,
    since: Annotated[str, typer.Option(help=f"Answered since then: {WAYS}.")] = "1h",
    last: Annotated[int, typer.Option(min=1, help="Of what is there, at most so many, the newest.")] = 100,
    request_id: Annotated[
        str | None, typer.Option(help="Only the answer to this request; ends when it has come.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print whole responses, one JSON line each.")] = False,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Show answers as they come, until Ctrl-C.

    With --once and --request-id the exit status is 1 when there is no answer yet.
    """
    start_ms = since_ms(since, time_ns() // 1_000_000)
    with TopicReader(reach(bootstrap_servers), RESPONSES) as reader:
        spans = _where(reader.spans(start_ms), request_id)
        if not as_json:
            _print_line(HEADINGS)
        found = _newest(_chosen(reader.read(spans), request_id), last)
        for response in found:
            _show(response, as_json=as_json)
        if follow and not (request_id and found):
            _follow(_chosen(reader.follow(spans), request_id), as_json=as_json, only_first=request_id is not None)
        elif request_id and not found:
            print(f"no answer to {request_id} since {since}", file=sys.stderr)
            raise typer.Exit(1)


def _where(spans: Spans, request_id: str | None) -> Spans:
    """Responses are keyed by request id, so the answer to one can only be in one partition."""
    if request_id is None:
        return spans
    partition = partition_for(request_id.encode(), len(spans))
    return {partition: spans[partition]}


def _chosen(records: Iterator[Delivery], request_id: str | None) -> Iterator[Response]:
    """What is no response is passed over: `millrace audit` counts those."""
    for record in records:
        try:
            response = Response.decode(record.value or b"")
        except DecodeError:
            continue
        if request_id in (None, response.request_id):
            yield response


def _newest(found: Iterator[Response], last: int) -> list[Response]:
    """In the order in which they were given, whatever partition they are on."""
    kept = heapq.nlargest(last, ((each.answered_at_ms, number, each) for number, each in enumerate(found)))
    return [response for _, _, response in sorted(kept, key=lambda each: each[:2])]


def _follow(found: Iterator[Response], *, as_json: bool, only_first: bool) -> None:
    with suppress(KeyboardInterrupt):
        for response in found:
            _show(response, as_json=as_json)
            if only_first:
                return


def _show(response: Response, *, as_json: bool) -> None:
    if as_json:
        print(response.encode().decode(), flush=True)
    else:
        _print_line(cells(response))


def _print_line(values: tuple[str, ...]) -> None:
    """Cut where a terminal's line ends; in full where a program reads it."""
    console, shown = out(), visible(line(values))
    if console.is_terminal:
        console.print(shown, no_wrap=True, overflow="ellipsis")
    else:
        print(shown.plain, flush=True)

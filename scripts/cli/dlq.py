"""`millrace dlq`: the records that could not be handled, and why."""

import base64
import heapq
from time import time_ns
from typing import Annotated

import typer

from schemas.topics import DEAD_LETTERS
from scripts.cli.command_group import command_app
from scripts.cli.dead_letter import DeadLetter, dead_letter, shown_headers
from scripts.cli.fault import Fault
from scripts.cli.kafka import BootstrapServers, reach
from scripts.cli.offsets import Span
from scripts.cli.screen import AsJson, out, show_json, show_table, visible
from scripts.cli.since import WAYS, since_ms
from scripts.cli.topic_reader import TopicReader
from streams.runtime.delivery import Delivery

app = command_app("Look at the records that could not be handled.")


@app.command("list", epilog="Example: millrace dlq list --since 24h")
def list_(
    since: Annotated[str | None, typer.Option(help=f"Written since then: {WAYS}. (default: all)")] = None,
    last: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 100,
    as_json: AsJson = False,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """List dead letters, oldest first: why, by which stage, and where the record was. Payloads are not shown."""
    start_ms = None if since is None else since_ms(since, time_ns() // 1_000_000)
    with TopicReader(reach(bootstrap_servers), DEAD_LETTERS) as reader:
        spans = reader.spans(start_ms)
        newest = heapq.nlargest(
            last, ((each.timestamp_ms, each.partition, each.offset, dead_letter(each)) for each in reader.read(spans))
        )
    letters = [letter for *_, letter in sorted(newest)]
    if as_json:
        show_json(letters)
        return
    if not letters:
        print("no dead letters")
        return
    show_table(
        ("partition/offset", "at", "stage", "reason", "detail", "origin", "bytes"),
        [(each.place, each.at, each.stage, each.reason, each.detail, each.origin, each.size) for each in letters],
        right=("bytes",),
    )
    print(f"{len(letters)} dead letters; look at one: millrace dlq show {letters[-1].place}")


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
    record = _record_at(place, bootstrap_servers)
    letter, headers = dead_letter(record), shown_headers(record)
    if as_json:
        shown = {"payload_base64": base64.b64encode(record.value or b"").decode()} if payload else {}
        show_json({"letter": letter, "headers": headers, **shown})
        return
    show_table(("field", "value"), _fields(letter))
    print()
    show_table(("header", "value"), headers)
    if payload:
        print()
        _print_payload(record.value or b"")


def _record_at(place: str, bootstrap_servers: str | None) -> Delivery:
    partition_text, _, offset_text = place.partition("/")
    if not (partition_text.isdecimal() and offset_text.isdecimal()):
        raise Fault(f"{place!r} is not a place; write PARTITION/OFFSET, such as 3/17")
    partition, offset = int(partition_text), int(offset_text)
    with TopicReader(reach(bootstrap_servers), DEAD_LETTERS) as reader:
        span = reader.spans().get(partition)
        if span is None or not span.start <= offset < span.end:
            raise Fault(f"{reader.topic} has no record at {place}; see: millrace dlq list")
        record = next(reader.read({partition: Span(offset, offset + 1)}), None)
    if record is None:
        raise Fault(f"{reader.topic} has no record at {place} any more")
    return record


def _fields(letter: DeadLetter) -> list[tuple[str, object]]:
    return [
        ("at", letter.at),
        ("stage", letter.stage),
        ("reason", letter.reason),
        ("detail", letter.detail),
        ("origin", letter.origin),
        ("bytes", letter.size),
    ]


def _print_payload(value: bytes) -> None:
    """Text as text, line by line; anything else as base64, since raw bytes could command the terminal."""
    try:
        lines = value.decode().splitlines()
    except UnicodeDecodeError:
        print(base64.b64encode(value).decode())
        return
    for line in lines:
        out().print(visible(line), soft_wrap=True)

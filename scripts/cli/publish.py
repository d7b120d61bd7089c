"""`millrace publish`: requests from a file to Kafka, each acknowledged before it counts."""

import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated
from uuid import uuid4

import typer
from pydantic import SecretStr
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from schemas.headers import AUTHORIZATION, credentials
from schemas.topics import REQUESTS
from scripts.cli.command_group import command_app
from scripts.cli.fault import Fault
from scripts.cli.kafka import BootstrapServers, reach
from scripts.cli.producer import ConfirmedProducer, Headers
from scripts.cli.readers import Asker, Publication, publications
from scripts.cli.screen import err

app = command_app()

STDIN = "-"


@app.command(epilog="Example: millrace publish requests.jsonl --key-file acme.key --rate 20")
def publish(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="JSON lines; - reads standard input.")],
    tenant: Annotated[str, typer.Option(help="Tenant that prompts are asked for; events name theirs.")] = "local",
    model: Annotated[str, typer.Option(help="Model or alias that prompts are put to; events name theirs.")] = "auto",
    id_prefix: Annotated[
        str | None, typer.Option(help="Before the ids of prompts. (default: a new one, so they are asked anew)")
    ] = None,
    key_file: Annotated[Path | None, typer.Option(help="File with the tenant's key, sent with every request.")] = None,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Requests a second. (default: as fast as it goes)")] = (
        None
    ),
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Publish requests from a file or from standard input.

    A line is a request event, sent as it is, or a prompt: a user-oriented instruction (asked once per instance, its
    application is the feature) or an MT-bench question (its first turn, its category is the feature).
    """
    headers = authorization(key_file)
    asker = Asker(tenant, f"{uuid4().hex[:8]}/" if id_prefix is None else id_prefix, model)
    with _opened(file) as lines:
        cluster = reach(bootstrap_servers)
        cluster.partitions(REQUESTS)
        producer = ConfirmedProducer(cluster.settings)
        topic = cluster.settings.topic(REQUESTS)
        with _progress(file) as advance:
            try:
                for publication in paced(_all(lines, file, asker, advance), rate):
                    producer.send(topic, publication.key, publication.value, headers)
            finally:
                producer.confirm()
                print(f"{producer.confirmed} requests published to {topic}")
    print("read the answers: millrace responses --since 10m")
    print("see that none is missing: millrace audit --since 10m")


def authorization(key_file: Path | None) -> Headers:
    """The header that proves a tenant. Raises Fault; the key is in no message."""
    if key_file is None:
        return []
    try:
        header = f"Bearer {key_file.read_text(encoding='utf-8').strip()}"
    except (OSError, UnicodeDecodeError) as error:
        raise Fault(f"--key-file {key_file} cannot be read: {_reason(error)}") from error
    read = credentials([(AUTHORIZATION, header)])
    if not isinstance(read, SecretStr):
        raise Fault(f"--key-file {key_file} must hold one key of visible ASCII characters and nothing else")
    return [(AUTHORIZATION, header.encode())]


def paced(
    items: Iterable[Publication],
    rate: float | None,
    *,
    now_s: Callable[[], float] = time.monotonic,
    wait_s: Callable[[float], None] = time.sleep,
) -> Iterator[Publication]:
    """At most `rate` a second, evenly; what was late is caught up with."""
    started_s = now_s()
    for number, item in enumerate(items):
        if rate is not None:
            wait_s(max(started_s + number / rate - now_s(), 0))
        yield item


def _all(lines: IO[bytes], file: str, asker: Asker, advance: Callable[[int], None]) -> Iterator[Publication]:
    for number, line in enumerate(lines, 1):
        yield from publications(line, f"{'standard input' if file == STDIN else file}, line {number}", asker)
        advance(len(line))


@contextmanager
def _opened(file: str) -> Generator[IO[bytes]]:
    if file == STDIN:
        yield sys.stdin.buffer
        return
    try:
        opened = Path(file).open("rb")  # noqa: SIM115  # closed below; only opening it may be reported as its fault
    except OSError as error:
        raise Fault(f"{file} cannot be read: {_reason(error)}") from error
    with opened:
        yield opened


@contextmanager
def _progress(file: str) -> Generator[Callable[[int], None]]:
    """Counts bytes, which are known before the first line is read."""
    total = None if file == STDIN else Path(file).stat().st_size
    columns = (TextColumn("publishing"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TimeElapsedColumn())
    console = err()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("publishing", total=total)
        yield lambda size: progress.advance(task, size)


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "it is not UTF-8 text"

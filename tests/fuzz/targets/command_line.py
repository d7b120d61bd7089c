"""What the command line reads: files of requests and of configuration, and topics that anybody may have written to."""

from pathlib import Path

from schemas.response import Response
from schemas.wire import DecodeError
from scripts.cli.audit import findings
from scripts.cli.audit_fold import Bounds, asked, buried, fold, replied
from scripts.cli.config_diff import applied, changes
from scripts.cli.config_file import parse
from scripts.cli.control_topic import fold as fold_control
from scripts.cli.dead_letter import dead_letter, shown_headers
from scripts.cli.fault import Fault
from scripts.cli.offsets import Span
from scripts.cli.readers import Asker, publications
from scripts.cli.response_line import cells, line
from scripts.cli.screen import visible
from scripts.cli.since import since_ms, while_ms
from streams.control import ControlView
from streams.runtime.delivery import Delivery
from tests.fuzz.target import Target, golden, joined, pairs, parts_of
from tests.fuzz.targets.pipeline import headers_of
from tests.unit.examples import NOW_MS, delivery

ASKER = Asker("acme", "fuzz/")
BOUNDS = Bounds("llm.requests", {0: Span(0, 100)}, NOW_MS, 300_000)


def _records(data: bytes) -> list[Delivery]:
    """An input is a value, the eight bytes of its timestamp, and headers; the same record stands on every topic."""
    value, timestamp, *said = parts_of(data, 2)
    at_ms = int.from_bytes(timestamp[:8], "big", signed=True) if timestamp else NOW_MS
    headers = headers_of(said)
    return [delivery(value, headers=headers, timestamp_ms=at_ms, offset=offset) for offset in (7, 8)]


def _audit(data: bytes) -> None:
    records = _records(data)
    letters = [buried(record, topic) for record in records for topic in ("llm.requests", "llm.other")]
    report = fold(map(asked, records), map(replied, records), letters, BOUNDS)
    for finding in findings(report):
        for cell in finding:
            visible(str(cell))


def _dead_letters(data: bytes) -> None:
    for record in _records(data):
        letter = dead_letter(record)
        visible(f"{letter.place} {letter.origin} {letter.detail}").plain.encode()
        for name, value in shown_headers(record):
            visible(name + value).plain.encode()


def _responses(data: bytes) -> None:
    visible(line(cells(Response.decode(data)))).plain.encode()


def _control(data: bytes) -> None:
    records = [delivery(value, key=key, offset=offset) for offset, (key, value) in enumerate(pairs(parts_of(data)))]
    fold_control(records)


def _config_file(data: bytes) -> None:
    objects = parse(data.decode(), "millrace.toml", {"openai_base_url": "https://a.example", "anthropic_base_url": "x"})
    changed = changes(ControlView(), objects, prune=True)
    applied(ControlView(), changed)
    for change in changed:
        change.object.encode()


def _publish(data: bytes) -> None:
    for each in publications(data, "line 1", ASKER):
        assert each.value


def _since(data: bytes) -> None:
    text = data.decode()
    for read in (lambda: since_ms(text, NOW_MS), lambda: while_ms(text)):
        try:
            assert read() >= 0
        except Fault:
            continue


_NOW = NOW_MS.to_bytes(8, "big")
_SAMPLE = (Path(__file__).parents[3] / "compose" / "config" / "millrace.toml").read_bytes()

TARGETS = (
    Target(
        "audit",
        "`millrace audit`: requests, responses and dead letters, whoever wrote them",
        _audit,
        (
            *(joined(value, _NOW) for value in golden("request", "response")),
            joined(
                *(golden("accepted")[0], _NOW, b"millrace-topic", b"llm.requests"),
                *(b"millrace-partition", b"0", b"millrace-offset", b"7", b"millrace-reason", b"request_id_reused"),
            ),
        ),
    ),
    Target(
        "dead-letters",
        "`millrace dlq`: headers of dead letters, whoever wrote them",
        _dead_letters,
        (joined(b"{}", _NOW, b"millrace-stage", b"validate", b"millrace-partition", b"3", b"authorization", b"x"),),
    ),
    Target("responses", "`millrace responses`: answers as lines", _responses, golden("response"), (DecodeError,)),
    Target(
        "config-shown",
        "`millrace config show`: the control topic",
        _control,
        tuple(joined(b"kind/name", value) for value in golden("tenant", "deployment", "route", "breaker")),
    ),
    Target(
        "config-file",
        "`millrace config apply`: a TOML file",
        _config_file,
        (
            _SAMPLE,
            b'[[tenant]]\nname = "a"\nopen = true\n[tenant.limits]\nrequests_per_minute = 1_000\n',
            b'[[route]]\nname = "r"\nmodels = ["${model:-auto}"]\n[[route.targets]]\ndeployment = "d"\n',
            b'tenant = [{name = "a", daily_spend_alert_usd = "1.5", cache_ttl_s = 0x10, key_sha256 = []}]\n',
        ),
        (Fault, UnicodeDecodeError),
    ),
    Target(
        "publish",
        "`millrace publish` and the demo: lines of requests and prompts",
        _publish,
        (
            *golden("request"),
            b'{"question_id": 81, "category": "writing", "turns": ["Hello", "Again"]}',
            b'{"id": "u", "motivation_app": "Gmail", "instruction": "Do", "instances": [{"input": "x", "o": 1}]}',
        ),
        (Fault,),
    ),
    Target(
        "since",
        "`--since` and `--open-within`",
        _since,
        (b"24h", b"2026-11-01T09:30+01:00", b"2026-W01-1", b"0001-01-01T00:00+23:59"),
        (UnicodeDecodeError,),
    ),
)

"""Record headers: CloudEvents attributes in Kafka's binary mode, the W3C trace parent, and the sender's key.

What comes in is never trusted to be well-formed: an attribute that cannot be read is as good as absent.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TypeVar

from pydantic import SecretStr

ID = "ce_id"
TYPE = "ce_type"
SOURCE = "ce_source"
SPEC_VERSION = "ce_specversion"
TIME = "ce_time"
CONTENT_TYPE = "content-type"
TRACE_PARENT = "traceparent"
AUTHORIZATION = "authorization"

CREDENTIALS = frozenset({AUTHORIZATION, "proxy-authorization", "x-api-key", "api-key", "cookie"})
"""Ours, and those that people put a key in by mistake: none of them may be written down anywhere."""

_FIXED = ((SPEC_VERSION, b"1.0"), (CONTENT_TYPE, b"application/json"))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
# https://www.w3.org/TR/trace-context: ids of zeros and version ff are invalid; a version above ours may say more
_TRACE_PARENT = re.compile(
    r"(?P<version>(?!ff)[0-9a-f]{2})-(?P<known>(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})(?P<more>-.*)?"
)
_BEARER = re.compile(r"bearer +(?P<key>[\x21-\x7e]{1,4096})", re.IGNORECASE)

Header = tuple[str, bytes]
HeaderValue = bytes | str | None
V = TypeVar("V", bound=HeaderValue)


@dataclass(frozen=True, slots=True)
class Incoming:
    """What a record says about itself. None: not said, or not readable."""

    event_id: str | None
    event_type: str | None
    source: str | None
    spec_version: str | None
    time_ms: int | None
    content_type: str | None
    trace_parent: str | None


@dataclass(frozen=True, slots=True)
class MalformedCredentials:
    """A key was meant to be sent. `problem` is safe to show to the sender: nothing of the header is in it."""

    problem: str


def topic_event_type(topic: str) -> str:
    """`topic` is without the prefix: all that one topic carries is one type of event to the outside world."""
    return f"millrace.{topic}.v1"


@lru_cache(maxsize=16)
def moment(time_ms: int) -> Header:
    """UTC, milliseconds since 1970, not before it. What is decided together has the same."""
    epoch_s, milliseconds = divmod(time_ms, 1000)
    return TIME, b"%b.%03dZ" % (_second(epoch_s), milliseconds)


@lru_cache(maxsize=16)
def _second(epoch_s: int) -> bytes:
    """Ten times as dear as the rest of a record's headers together, and the same for all of a second's records."""
    return f"{datetime.fromtimestamp(epoch_s, UTC):%Y-%m-%dT%H:%M:%S}".encode()


@lru_cache(maxsize=256)
def origin(event_type: str, source: str) -> tuple[Header, ...]:
    """What all records of one writer on one topic have in common."""
    return ((TYPE, event_type.encode()), (SOURCE, source.encode()), *_FIXED)


def traced(trace_parent: str | None) -> tuple[Header, ...]:
    return () if trace_parent is None else ((TRACE_PARENT, trace_parent.encode()),)


def outgoing(event_type: str, event_id: str, source: str, time_ms: int, trace_parent: str | None) -> list[Header]:
    """Headers of a record of ours. `time_ms`: UTC, milliseconds since 1970, not before it."""
    return [(ID, event_id.encode()), moment(time_ms), *origin(event_type, source), *traced(trace_parent)]


def _text(value: HeaderValue) -> str | None:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None
    return value


def _time_ms(text: str | None) -> int | None:
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return (time - _EPOCH) // _MILLISECOND if time.tzinfo else None


def parse_trace_parent(text: str | None) -> str | None:
    """A valid trace parent in the version that we speak, 00; None for anything else."""
    match = _TRACE_PARENT.fullmatch(text or "")
    if match is None or (match["version"] == "00" and match["more"]):
        return None
    return f"00-{match['known']}"


def incoming(headers: Iterable[tuple[str, HeaderValue]] | None) -> Incoming:
    """Never raises. Of a header given twice the last counts, as it does for Kafka's own clients."""
    said = {name.lower(): value for name, value in headers or ()}
    return Incoming(
        event_id=_text(said.get(ID)),
        event_type=_text(said.get(TYPE)),
        source=_text(said.get(SOURCE)),
        spec_version=_text(said.get(SPEC_VERSION)),
        time_ms=_time_ms(_text(said.get(TIME))),
        content_type=_text(said.get(CONTENT_TYPE)),
        trace_parent=parse_trace_parent(_text(said.get(TRACE_PARENT))),
    )


def trace_parent_of(headers: Iterable[tuple[str, HeaderValue]]) -> str | None:
    """What `incoming` says of it, without reading the rest."""
    said: HeaderValue = None
    for name, value in headers:
        if name == TRACE_PARENT or name.lower() == TRACE_PARENT:
            said = value
    return None if said is None else parse_trace_parent(_text(said))


def credentials(headers: Iterable[tuple[str, HeaderValue]] | None) -> SecretStr | MalformedCredentials | None:
    """The key of `authorization: Bearer <key>`; None when no such header was sent at all."""
    given = [value for name, value in headers or () if name.lower() == AUTHORIZATION]
    if not given:
        return None
    if len(given) > 1:
        return MalformedCredentials("the authorization header was sent more than once: send it once")
    match = _BEARER.fullmatch((_text(given[0]) or "").strip())
    if match is None:
        return MalformedCredentials("the authorization header must be `Bearer <key>`, with a key of visible ASCII")
    return SecretStr(match["key"])


def without_credentials(headers: Iterable[tuple[str, V]] | None) -> list[tuple[str, V]]:
    """The rest, unchanged and in order: this is all that may be kept of a record's headers."""
    return [(name, value) for name, value in headers or () if name.strip().lower() not in CREDENTIALS]

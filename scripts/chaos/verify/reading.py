"""From a record to what it says. Never raises: what cannot be read is a fact too."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from sys import intern  # every invariant remembers who it was; one text is enough for all
from typing import Any, cast

from schemas.base import load_json
from schemas.headers import ID, SOURCE
from schemas.response import Response
from scripts.chaos.load import canaries
from scripts.chaos.verify.facts import (
    Accounted,
    Admitted,
    Cached,
    Called,
    Cause,
    Completed,
    Configured,
    Dispatched,
    Fact,
    Lettered,
    Passed,
    Requested,
    Responded,
    Seen,
    Unreadable,
    Validated,
)
from scripts.chaos.verify.forbidden import found_in
from scripts.cli.audit_fold import Place, Replied, asked, buried
from scripts.cli.dead_letter import dead_letter, shown_headers
from streams.runtime.delivery import Delivery
from streams.state.given_responses import identity_of

Json = dict[str, Any]
_SOURCE_PREFIX = "millrace/"
_DIGEST_CHARS = 16
"""Tell the contents of one id apart; whole digests would be a tenth of all that is remembered."""


class Reading:
    """`topics`: names without the prefix by full name."""

    def __init__(self, topics: Mapping[str, str]) -> None:
        self._topics = topics
        self._requests = next(full for full, name in topics.items() if name == "requests")

    def seen(self, record: Delivery) -> Seen:
        topic = self._topics[record.topic]
        headers = dict(record.headers)
        event_id = _text(headers.get(ID))
        try:
            fact = self._fact(topic, record)
        except (ValueError, KeyError, TypeError) as problem:
            fact = Unreadable(type(problem).__name__)
        return Seen(
            place=_place(record),
            topic=topic,
            at_ms=record.timestamp_ms,
            event_id=event_id,
            cause=None if topic in ("requests", "dlq") else _cause(event_id, _text(headers.get(SOURCE))),
            fact=fact,
            leaks=_leaks(topic, record),
        )

    def _fact(self, topic: str, record: Delivery) -> Fact:
        if topic == "requests":
            return _requested(record)
        if topic == "dlq":
            return self._lettered(record)
        if topic == "responses":
            return _responded(record)
        reader = _READERS.get("dispatch" if topic.startswith("dispatch.") else topic)
        if reader is None or not record.value:
            return Passed()
        return reader(record.value)

    def _lettered(self, record: Delivery) -> Fact:
        letter = dead_letter(record)
        where = None
        if letter.origin_partition is not None and letter.origin_offset is not None:
            where = Place(letter.origin_topic, letter.origin_partition, letter.origin_offset)
        return Lettered(buried(record, self._requests), where)


def _requested(record: Delivery) -> Requested:
    number = _text(dict(record.headers).get("load-number"))
    return Requested(asked(record), record.key, int(number) if number and number.isdecimal() else None)


def _validated(value: bytes) -> Validated:
    said = _json(value)
    ticket = said["ticket"]
    return Validated(
        kind=said["kind"],
        identity=_identity(ticket),
        tenant_id=ticket["tenant_id"] or "",
        user_id=ticket["user_id"],
        origin=_origin(ticket),
        digest=said["digest"][:_DIGEST_CHARS],
    )


def _admitted(value: bytes) -> Admitted:
    said = _json(value)
    return Admitted(_identity(said["ticket"]), said["namespace"])


def _dispatched(value: bytes) -> Dispatched:
    said = _json(value)
    return Dispatched(_identity(said["ticket"]), said["plan"]["max_attempts"], said["ticket"]["deadline_ms"])


def _completed(value: bytes) -> Completed:
    said = _json(value)
    saved = said.get("saved")
    return Completed(
        identity=_identity(said["ticket"]),
        tenant_id=said["ticket"]["tenant_id"],
        attempts=tuple(attempt["attempt_id"] for attempt in said["attempts"]),
        saved_from=saved["request_id"] if saved else None,
        answered_by=_answered_by(said),
    )


def _answered_by(completion: Json) -> str | None:
    last = completion["attempts"][-1] if completion["attempts"] else None
    answer = completion["answer"]
    is_whole = last is not None and answer is not None and answer["complete"] and last["error_class"] is None
    return last["attempt_id"] if last is not None and is_whole else None


def _responded(record: Delivery) -> Responded:
    value = record.value or b""
    response = Response.decode(value)
    origin = response.origin
    answers = Place(origin.topic, origin.partition, origin.offset)
    return Responded(
        replied=Replied(intern(identity_of(response)), answers, _place(record)),
        tenant_id=response.tenant_id,
        attempts=response.attempts,
        cost_usd=response.cost_usd,
        owners=canaries.owners(value.decode()),
        is_prompt_in_error=response.error is not None and canaries.PROMPT in response.error.message,
        status=response.status,
        code=None if response.error is None else response.error.code,
        numbers=canaries.numbers("" if response.output is None else response.output.encode().decode()),
        is_cut=not response.complete or response.finish_reason == "length",
    )


def _called(value: bytes) -> Called:
    said = _json(value)
    cost, tenant = said["cost"], said["tenant_id"]
    origin = f"{said['origin_topic']}/{said['origin_partition']}/{said['origin_offset']}"
    return Called(
        identity=intern(f"{tenant}/{said['request_id']}" if tenant else f"?/{origin}"),
        tenant_id=intern(tenant),
        attempt_id=said["attempt_id"],
        attempt_no=said["attempt_no"],
        phase=said["phase"],
        cost_status=cost["status"],
        cost_usd=_usd(cost["total_usd"]),
        tokens=sum(said["usage"].values()),
        produced_ms=said["produced_at_ms"],
        is_final=said["is_final"],
    )


def _cached(value: bytes) -> Cached:
    said = _json(value)
    if said["kind"] == "invalidated":  # an operator's word, on every partition and in no namespace
        return Cached(said["kind"], "", "", said["tenant_id"], frozenset())
    holder = said["saved"]["request_id"] if said["kind"] == "fill" else said["identity"]
    return Cached(said["kind"], said["namespace"], said["entry"], holder, canaries.owners(value.decode()))


def _configured(value: bytes) -> Fact:
    said = _json(value)
    if said["kind"] != "tenant":
        return Passed()
    return Configured(said["name"], _limit(said["limits"]), _limit(said["user_limits"]))


def _limit(limits: Json) -> tuple[int, int] | None:
    per_minute: int | None = limits["requests_per_minute"]
    return None if per_minute is None else (per_minute, limits["burst_requests"] or per_minute)


def _accounted(value: bytes) -> Accounted:
    said = _json(value)
    known = Decimal(said["spent_usd"]) - Decimal(said["guessed_usd"])
    return Accounted(intern(said["tenant_id"]), intern(said["budget"]), said["subject"], said["period"], known)


_READERS: Mapping[str, Callable[[bytes], Fact]] = {
    "validated": _validated,
    "admitted": _admitted,
    "dispatch": _dispatched,
    "completions": _completed,
    "calls": _called,
    "cache": _cached,
    "control": _configured,
    "budgets": _accounted,
}


def _leaks(topic: str, record: Delivery) -> tuple[str, ...]:
    """Marks in what is shown or kept for ever: rows, alerts, and all of a dead letter but the record itself."""
    if topic in ("calls", "alerts"):
        return found_in(record.value or b"")
    if topic == "dlq":
        return found_in(f"{dead_letter(record)!r}{shown_headers(record)!r}".encode())
    return ()


def _cause(event_id: str | None, source: str | None) -> Cause | None:
    """Ids of our own records say what they were written for: topic/partition/offset/number."""
    if event_id is None or source is None or not source.startswith(_SOURCE_PREFIX):
        return None
    parts = event_id.rsplit("/", 3)
    if len(parts) != 4 or not all(part.isdecimal() for part in parts[1:]):  # noqa: PLR2004  # as the line above says
        return None
    topic, partition, offset, number = parts
    return Cause(source.removeprefix(_SOURCE_PREFIX), Place(topic, int(partition), int(offset)), int(number))


def _identity(ticket: Json) -> str:
    if ticket["tenant_id"] is None:
        origin = ticket["origin"]
        return f"?/{origin['topic']}/{origin['partition']}/{origin['offset']}"
    return intern(f"{ticket['tenant_id']}/{ticket['request_id']}")


def _origin(ticket: Json) -> Place:
    origin = ticket["origin"]
    return Place(origin["topic"], origin["partition"], origin["offset"])


def _usd(said: str | None) -> Decimal | None:
    return None if said is None else Decimal(said)


def _json(value: bytes) -> Json:
    """Raises ValueError for anything but an object."""
    said = load_json(value)
    if not isinstance(said, dict):
        raise ValueError("an event is a JSON object")  # noqa: TRY004  # a parser's callers expect this one
    return cast("Json", said)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")


def _place(record: Delivery) -> Place:
    return Place(record.topic, record.partition, record.offset)

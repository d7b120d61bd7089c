"""What the stages read from Kafka: requests and headers of anybody, and the topics between them."""

from contextlib import suppress
from decimal import Decimal

from pydantic import ValidationError

from schemas.call import CallNews, CallRow
from schemas.flow import Needs
from schemas.headers import credentials, incoming, outgoing, without_credentials
from schemas.topics import ACCOUNTS, BUDGETS, CACHE, RESPONSES, TOPICS
from schemas.wire import DecodeError
from sinks.native import Unwritable, native_block
from streams.control import ControlView
from streams.routes import choose_route
from streams.runtime.deadletter import dead_letter_headers
from streams.runtime.delivery import Delivery, Headers
from streams.runtime.envelope import seal
from streams.runtime.follower import apply_record
from streams.runtime.outcome import DeadLetter, Finish, Forward, Outcome
from streams.runtime.stage import Stateless, completion_record, requester_of
from streams.settings import KafkaSettings
from streams.stages import limit, route, validate
from streams.state.accounts import Accounts
from streams.state.given_responses import GivenResponses
from streams.state.kept_answers import KeptAnswers
from streams.watch.answers import Answers, AnswersTally, ends_a_request
from streams.watch.sightings import EARLIER_HEADER, SIGHTING, CallSeen, call_seen, calls_in, times_in, unpriced_seen
from streams.watch.spend import Spend, SpendTally, booked_usd
from tests.fuzz.target import Target, golden, joined, pairs, parts_of
from tests.unit.examples import KEY, KEY_SHA256, NOW_MS, control, delivery, miss, request_json, tenant, ticket, view

KAFKA = KafkaSettings(bootstrap_servers="127.0.0.1:1")
CONTROL = control(tenant("locked", open_=False, key_sha256=(KEY_SHA256,)))
READ = {topic.name: topic.events.decode for topic in TOPICS if topic.events is not None}


def headers_of(parts: list[bytes]) -> Headers:
    """Kafka's client hands names over as text."""
    return tuple((name.decode(errors="replace"), value) for name, value in pairs(parts))


def sendable(outcome: Outcome, cause: Delivery) -> None:
    """What was decided can be written, and what is written can be read."""
    match outcome:
        case Forward(records):
            sealed = seal(records, cause, KAFKA, "fuzz", NOW_MS)
        case Finish(completion, records):
            sealed = seal((completion_record(completion), *records), cause, KAFKA, "fuzz", NOW_MS)
        case DeadLetter():
            sealed = []
            assert all(isinstance(v, bytes) for _, v in dead_letter_headers(cause, "fuzz", outcome, NOW_MS))
        case _:
            sealed = []
    for envelope in sealed:
        READ[envelope.topic.removeprefix(KAFKA.topic_prefix)](envelope.value)


def _request(data: bytes) -> None:
    value, *said = parts_of(data)
    arrived = delivery(value, headers=headers_of(said))
    outcome = validate.decide(arrived, view(Stateless(), control=CONTROL, delivery=arrived))
    sendable(outcome, arrived)
    requester = validate.STAGE.requester(arrived)
    if requester is not None:
        requester.ticket.encode()


def _headers(data: bytes) -> None:
    given = headers_of(parts_of(data))
    said = incoming(given)
    if said.time_ms is not None and said.time_ms >= 0:
        outgoing("type", said.event_id or "", "source", said.time_ms, said.trace_parent)
    credentials(given)
    credentials([(name, value.decode(errors="replace")) for name, value in given if value is not None])
    assert all(name.lower() != "authorization" for name, _ in without_credentials(given))
    dead_letter_headers(delivery(headers=given), "fuzz", DeadLetter("unreadable", "detail"), NOW_MS)


def _events(data: bytes) -> None:
    """Every topic's reader. What one accepts it can write, and read again."""
    requester_of(delivery(data))
    for read in (*READ.values(), SIGHTING.validate_json):
        try:
            event = read(data)
        except (ValidationError, DecodeError):
            continue
        read(event.encode())
    with suppress(ValidationError):
        times_in(((EARLIER_HEADER, data),))
    with suppress(ValidationError):
        calls_in(CallSeen(subject="a", verdict="failed", started_at_ms=0, provider_ms=None), ((EARLIER_HEADER, data),))


def _tables(data: bytes) -> None:
    """Records that state is rebuilt from: one that cannot be read is passed over, all others are taken in."""
    accounts = Accounts()
    states = ((ACCOUNTS, accounts), (BUDGETS, accounts), (CACHE, KeptAnswers()), (RESPONSES, GivenResponses()))
    for record in parts_of(data):
        for topic, state in states:
            try:
                event = READ[topic.name](record)
            except (ValidationError, DecodeError):
                continue
            state.apply(event, NOW_MS)


def _control(data: bytes) -> None:
    """Whatever is on the control topic, a request is still decided about."""
    seen = CONTROL
    for offset, (key, value) in enumerate(pairs(parts_of(data))):
        seen = apply_record(seen, key, value, offset)
    choose_route(seen, ticket())
    arrived = delivery(request_json())
    sendable(validate.decide(arrived, view(Stateless(), control=seen)), arrived)
    for needs in (None, Needs(max_tokens=50, tools=True, max_cost_usd=Decimal("0.01"))):
        sendable(route.decide(miss(needs=needs), view(Stateless(), control=seen)), arrived)


def _call_rows(data: bytes) -> None:
    """The three who read rows: the sink, `limit` and `watch`."""
    row = CallRow.decode(data)
    CallNews.decode(data)
    limit.decide(row, view(Accounts(), control=ControlView()))
    call_seen(row)
    unpriced_seen(row)
    spend, answers = SpendTally(Spend()), AnswersTally(Answers())
    spend.usd += booked_usd(row) or 0
    if ends_a_request(row):
        answers.count(row)
    native_block([row])


TARGETS = (
    Target(
        "request",
        "llm.requests, written by anybody: validate, from bytes to what it sends on",
        _request,
        (
            *golden("request"),
            joined(request_json(tenant_id="locked"), b"authorization", f"Bearer {KEY}".encode()),
            joined(request_json(), b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            request_json(messages=[{"role": "usr", "content": "x"}], mesages=1),
        ),
    ),
    Target(
        "headers",
        "record headers, written by anybody",
        _headers,
        (
            joined(b"authorization", b"Bearer sk-1234"),
            joined(b"ce_id", b"1", b"ce_time", b"2026-11-21T09:30:00.123+01:00", b"ce_type", b"x", b"ce_source", b"y"),
            joined(b"traceparent", b"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"),
            joined(b"millrace-offset", b"12", b"x-api-key", b"k", b"Content-Type", b"application/json"),
        ),
    ),
    Target(
        "events",
        "the topics between the stages: every topic's reader",
        _events,
        (*golden(), b'{"kind":"call","subject":"a","verdict":"failed","started_at_ms":1,"provider_ms":null}'),
    ),
    Target(
        "tables",
        "changelogs, the cache and given responses: what state is rebuilt from",
        _tables,
        (
            *golden("meter", "registration", "fill", "flight_started", "flight_ended", "response"),
            joined(*golden("flight_started", "flight_ended")),
        ),
    ),
    Target(
        "control",
        "llm.control: configuration as the stages follow it, and a request decided under it",
        _control,
        (
            *(joined(b"kind/name", value) for value in golden("tenant", "deployment", "route", "breaker")),
            joined(b"tenant/acme", b"", b"route/default", b""),
        ),
    ),
    Target(
        "call-rows",
        "llm.calls: rows as the sink, limit and watch read them, and as ClickHouse's Native format",
        _call_rows,
        golden("call_row"),
        (DecodeError, Unwritable),
    ),
)

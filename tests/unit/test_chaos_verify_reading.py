"""That the verifier understands what the stages really write, and the files of a run however they are being written."""

from base64 import b64encode
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from schemas.base import Event, dump_json
from schemas.cached import Fill, FlightStarted, Invalidated
from schemas.control import Limits, Tenant
from schemas.flow import Accepted, Admitted, Answer, CacheSlot, Completion, Dispatch, Plan, Saved, Target, Ticket
from schemas.prompt import Prompt, UserMessage
from schemas.response import Output
from schemas.topics import (
    ACCOUNTS,
    ADMITTED,
    CACHE,
    CALLS,
    COMPLETIONS,
    CONTROL,
    DISPATCH,
    REQUESTS,
    RESPONSES,
    VALIDATED,
    Topic,
)
from schemas.usage import Usage
from schemas.wire import Origin
from scripts.chaos.load import canaries
from scripts.chaos.verify import facts
from scripts.chaos.verify.files import Journal, Lines, Logs, acknowledged, bill
from scripts.chaos.verify.follower import topic_names
from scripts.chaos.verify.forbidden import CRASHES, MARKS, provider_keys
from scripts.chaos.verify.reading import Reading
from scripts.chaos.verify.snapshot import Disruption
from scripts.cli.audit_fold import Place
from streams.cost.ledger import FREE, attempt_row, unattempted_row
from streams.runtime.deadletter import dead_letter_headers
from streams.runtime.delivery import Delivery
from streams.runtime.envelope import seal
from streams.runtime.outcome import DeadLetter, Record
from streams.settings import KafkaSettings
from streams.stages.postprocess import respond
from tests.unit.chaos_history import NOW_MS
from tests.unit.examples import carried

KAFKA = KafkaSettings(partitions=1)
READING = Reading(topic_names(KAFKA))
CAUSE = Delivery("llm.misses", 2, 17, None, b"", (), NOW_MS)
TICKET = Ticket(
    request_id="r-1",
    tenant_id="north",
    user_id="u-1",
    origin=Origin(topic="llm.requests", partition=1, offset=5),
    produced_at_ms=NOW_MS,
)
STRANGER = replace(TICKET, tenant_id=None)
PROMPT = Prompt(messages=(UserMessage(role="user", content=canaries.prompt_mark("north", 1)),))
TARGET = Target(deployment="openai-main", provider="openai", model="gpt-4o-mini")
PLAN = Plan(route="fast", reason="model", targets=(TARGET,), max_attempts=2, timeout_ms=1_000)
SLOT = CacheSlot(namespace="n", entry="e", expires_after_ms=1_000)
SAVED = Saved(request_id="r-0", usage=Usage(), cost_usd=Decimal("0.1"))
ANSWER = Answer(
    output=Output(content=canaries.answer_mark("south", 2)),
    finish_reason="stop",
    model="gpt-4o-mini",
    provider="openai",
    deployment="openai-main",
)
COMPLETION = Completion(ticket=TICKET, status="ok", answer=ANSWER, cache="exact", saved=SAVED)


def read(topic: Topic, event: Event) -> facts.Seen:
    """As `cache` would have written it for `CAUSE`."""
    (envelope,) = seal([Record(topic, "key", event)], CAUSE, KAFKA, "cache", NOW_MS)
    headers = tuple(envelope.headers)
    return READING.seen(Delivery(envelope.topic, 0, 3, envelope.key, envelope.value, headers, NOW_MS))


def raw(topic: str, value: bytes | None, headers: Iterable[tuple[str, bytes]] = ()) -> facts.Seen:
    return READING.seen(Delivery(topic, 0, 3, b"key", value, tuple(headers), NOW_MS))


def test_a_record_says_which_event_of_which_stage_it_was_written_for() -> None:
    seen = read(ADMITTED, Admitted(ticket=TICKET, prompt=carried(PROMPT), input_tokens=1, namespace="n"))
    assert seen.cause == facts.Cause("cache", Place("llm.misses", 2, 17), 0)
    assert seen.place == Place("llm.admitted", 0, 3)
    assert seen.fact == facts.Admitted("north/r-1", "n")


def test_what_stages_write_between_them_is_understood() -> None:
    accepted = Accepted(ticket=TICKET, prompt=carried(PROMPT), digest="d", input_tokens=1)
    origin = Place("llm.requests", 1, 5)
    assert read(VALIDATED, accepted).fact == facts.Validated("accepted", "north/r-1", "north", "u-1", origin, "d")
    dispatch = Dispatch(ticket=TICKET, prompt=carried(PROMPT), input_tokens=1, plan=PLAN)
    assert read(DISPATCH["low"], dispatch).fact == facts.Dispatched("north/r-1", PLAN.max_attempts, TICKET.deadline_ms)
    assert read(COMPLETIONS, COMPLETION).fact == facts.Completed("north/r-1", "north", (), "r-0")


def test_a_response_shows_whose_marks_it_holds() -> None:
    fact = read(RESPONSES, respond(COMPLETION, [], NOW_MS)).fact
    assert isinstance(fact, facts.Responded)
    assert (fact.replied.identity, fact.replied.answers) == ("north/r-1", Place("llm.requests", 1, 5))
    assert (fact.owners, fact.cost_usd, fact.attempts) == ({"south"}, 0, 0)


def test_rows_and_what_is_kept_are_understood() -> None:
    row = unattempted_row(COMPLETION, NOW_MS)
    assert read(CALLS, row).fact == facts.Called(
        "north/r-1", "north", "llm.requests/1/5", False, "priced", "priced", Decimal(0), 0, NOW_MS, True
    )
    stranger = read(CALLS, unattempted_row(replace(COMPLETION, ticket=STRANGER), NOW_MS)).fact
    assert isinstance(stranger, facts.Called)
    assert stranger.identity == "?/llm.requests/1/5"
    fill = Fill(namespace="n", entry="e", answer=ANSWER, saved=SAVED, stored_at_ms=NOW_MS, expires_at_ms=NOW_MS)
    assert read(CACHE, fill).fact == facts.Cached("fill", "n", "e", "r-0", frozenset({"south"}))
    flight = FlightStarted(
        namespace="n", entry="e", identity="north/r-1", started_at_ms=NOW_MS, gives_up_at_ms=NOW_MS + 1
    )
    assert read(CACHE, flight).fact == facts.Cached("flight_started", "n", "e", "north/r-1", frozenset())
    word = Invalidated(tenant_id="north", before_ms=NOW_MS)
    assert read(CACHE, word).fact == facts.Cached("invalidated", "", "", "north", frozenset())


def test_limits_are_read_from_the_configuration() -> None:
    tenant = Tenant(name="north", limits=Limits(requests_per_minute=60))
    assert read(CONTROL, tenant).fact == facts.Configured("north", (60, 60), None)


def test_a_mark_in_a_row_or_in_a_dead_letters_headers_is_seen_and_one_in_its_payload_is_not() -> None:
    labelled = replace(TICKET, labels={"note": canaries.prompt_mark("north", 1)})
    leaking = unattempted_row(replace(COMPLETION, ticket=labelled), NOW_MS)
    assert read(CALLS, leaking).leaks == (canaries.PROMPT,)
    cause = Delivery("llm.requests", 0, 9, None, canaries.PROMPT.encode(), (), NOW_MS)
    for detail, leaks in (("plain", ()), (f"because of {canaries.KEY}", (canaries.KEY,))):
        headers = dead_letter_headers(cause, "validate", DeadLetter("unreadable", detail), NOW_MS)
        letter = raw("llm.dlq", cause.value, headers)
        assert letter.leaks == leaks
        assert isinstance(letter.fact, facts.Lettered)
        assert letter.fact.cause == Place("llm.requests", 0, 9)


@pytest.mark.parametrize("topic", [*topic_names(KAFKA)])
def test_whatever_is_on_a_topic_is_read_without_an_exception(topic: str) -> None:
    for value in (None, b"", b"{}", b"[]", b"nonsense", b'{"ticket": 3}', b'{"ticket": {}}', b"\xff"):
        seen = raw(topic, value, [("ce_id", b"not/an/id/x"), ("ce_source", b"\xff")])
        assert seen.cause is None


def test_accounts_and_requests_are_read_for_what_caused_them_and_who_sent_them() -> None:
    assert raw(KAFKA.topic(ACCOUNTS), b"{}").fact == facts.Passed()
    fact = raw(KAFKA.topic(REQUESTS), b'{"request_id":"r","tenant_id":"north"}', [("load-number", b"7")]).fact
    assert isinstance(fact, facts.Requested)
    assert (fact.asked.identity, fact.load_number) == ("north/r", 7)


def test_priced_and_started_rows_of_one_attempt_are_told_apart() -> None:
    from schemas.attempt import Attempt  # noqa: PLC0415  # only here

    attempt = Attempt(
        attempt_id="a",
        attempt_no=1,
        target_index=0,
        deployment="openai-main",
        provider="openai",
        model="gpt-4o-mini",
        started_at_ms=NOW_MS,
    )
    started = attempt_row(TICKET, PLAN, attempt, "started")
    priced = attempt_row(TICKET, PLAN, attempt, "priced", cost=FREE)
    for row, expected in ((started, None), (priced, Decimal(0))):
        fact = read(CALLS, row).fact
        assert isinstance(fact, facts.Called)
        assert (fact.phase, fact.cost_usd, fact.is_attempt) == (row.phase, expected, True)


def test_lines_are_taken_whole_and_once(tmp_path: Path) -> None:
    file = tmp_path / "bill.jsonl"
    lines = Lines(file)
    assert lines.fetch().taken() == []
    file.write_bytes(b"one\ntw")
    assert lines.fetch().taken() == [b"one"]
    with file.open("ab") as opened:
        opened.write(b"o\nthree\n")
    lines.fetch()
    assert lines.fetch().taken() == [b"two", b"three"]
    assert lines.taken() == []


def test_logs_are_searched_byte_by_byte_across_what_was_read_before(tmp_path: Path) -> None:
    file = tmp_path / "invoke-1.log"
    file.write_bytes(b"nothing CANARY-")
    logs = Logs(tmp_path, MARKS)
    assert list(logs.found()) == []
    with file.open("ab") as opened:
        opened.write(b"KEY-1 there")
    assert [(leak.mark, leak.where.split(" ")[0]) for leak in logs.found()] == [(canaries.KEY, "invoke-1.log")]
    assert list(logs.found()) == []


def test_marks_and_the_runs_provider_keys_are_found_however_a_log_writes_them(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "openai_api_key").write_text("sk-simulated-key\n")
    words = {**MARKS, **CRASHES, **provider_keys(tmp_path / "secrets")}
    logs = Logs(tmp_path, words)
    file = tmp_path / "invoke-1.log"
    file.write_bytes(b64encode(b"..CANARY-KEY-north..") + b"\n" + b"sk-simulated-key".hex().encode() + b"\n")
    assert {leak.mark for leak in logs.found()} == {canaries.KEY, "openai_api_key"}
    (tmp_path / "limit-1.log").write_bytes(b'{"problem":"KeyError","event":"ended_by_a_bug","stage":"limit"}\n')
    assert {leak.mark for leak in logs.found()} == {'"event":"ended_by_a_bug"'}
    thread = b'{"thread":"Thread-1","event":"thread_ended_by_a_bug","stage":"%s"}\n'
    (tmp_path / "watch.log").write_bytes(thread % b"watch")
    assert list(logs.found()) == []
    (tmp_path / "sink-1.log").write_bytes(thread % b"sink")
    assert len(list(logs.found())) == 1


def test_the_bill_and_the_loads_lines_are_understood() -> None:
    times = {"arrived": "2026-11-21T00:00:00.001+00:00", "time": "2026-11-21T00:00:00.005+00:00"}
    line = {**times, "client_request_id": "a", "cost_usd": "0.0001", "kind": "cut"}
    (billed,) = bill([dump_json(line)])
    assert billed.arrived_ms == NOW_MS + 1
    assert (billed.at_ms, billed.attempt_id, billed.cost_usd) == (NOW_MS + 5, "a", Decimal("0.0001"))
    said = {"at_ms": 1, "load_number": 7, "tenant_id": None, "request_id": None, "kind": "empty", "partition": 2}
    at, nowhere = acknowledged([dump_json(said | {"offset": 3}), dump_json(said | {"offset": None})], "llm.requests")
    assert (at.load_number, at.place) == (7, Place("llm.requests", 2, 3))
    assert (nowhere.load_number, nowhere.place) == (7, None)


def test_the_journal_becomes_disruptions_that_end_when_their_target_works_again() -> None:
    journal = Journal()
    journal.take(
        map(
            dump_json,
            (
                {"at_ms": 1, "event": "started"},
                {"at_ms": 2, "event": "injected", "id": 1, "fault": "kill", "target": "invoke-1"},
                {"at_ms": 3, "event": "died", "target": "invoke-1"},
                {"at_ms": 4, "event": "injected", "id": 2, "fault": "pause", "target": "broker-1"},
            ),
        )
    )
    found = journal.take(
        map(
            dump_json,
            (
                {"at_ms": 5, "event": "restarted", "target": "invoke-1"},
                {"at_ms": 6, "event": "healed", "id": 1},
            ),
        )
    )
    assert found == (
        Disruption("kill", "invoke-1", 2, 6),
        Disruption("died", "invoke-1", 3, 5),
        Disruption("pause", "broker-1", 4, None),
    )

"""Whatever a table's changelog loses to compaction, and whatever is delivered again: what is rebuilt from it is what
was there. The logs are those that the stages themselves write.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.account import LimitUnit, Meter
from schemas.control import CONTROL as CONTROL_OBJECTS
from schemas.control import Breaker, Deployment, Limits, Route, Tenant
from schemas.flow import Admitted, Refused
from schemas.money import Budget
from schemas.request import Priority
from schemas.response import Failure, Response
from schemas.topics import ACCOUNTS, BUDGETS, CACHE, RESPONSES, Topic
from streams.control import ControlView
from streams.runtime.follower import apply_record
from streams.runtime.outcome import Forward, Outcome, Record
from streams.runtime.partition import PartitionWork
from streams.runtime.recall import recall
from streams.runtime.stage import State
from streams.stages import cache, limit, postprocess
from streams.state.accounts import Accounts
from streams.state.given_responses import GivenResponses, identity_of
from streams.state.kept_answers import KeptAnswers
from tests.fakes.call_rows import call_row
from tests.unit.examples import (
    NOW_MS,
    accepted,
    admitted,
    breaker,
    completion,
    control,
    delivery,
    deployment,
    limited_tenant,
    records_of,
    route,
    slot_of,
    tenant,
    ticket,
    view,
)

USERS = (None, "ada")
UNITS: tuple[LimitUnit, ...] = ("requests", "tokens")
IDS = tuple(f"r-{number}" for number in range(4))
FAILURE = Failure(code="provider_unavailable", message="it was away")


@dataclass
class Log:
    """A table's records, in order, as they are on the topic."""

    topic: Topic
    records: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])

    def write(self, outcome: Outcome, state: State, now_ms: int) -> None:
        """As the shell does: each is written, and applied at once."""
        for record in records_of(outcome):
            if record.topic is self.topic:
                self.records.append((record.key, record.event.encode()))
                state.apply(record.event, now_ms)

    def compacted(self, before: int) -> list[tuple[str, bytes]]:
        """What may be left when the first so many have been compacted: of each key the newest."""
        newest = {key: at for at, (key, _) in enumerate(self.records[:before])}
        kept = [record for at, record in enumerate(self.records[:before]) if newest[record[0]] == at]
        return kept + self.records[before:]


def rebuilt(table: Topic, state: State, records: Iterable[tuple[str, bytes]], now_ms: int) -> None:
    work = PartitionWork(state)
    for offset, (key, value) in enumerate(records):
        recall(table, work, delivery(value, offset=offset, key=key.encode()), now_ms)


LIMITS = Limits(requests_per_minute=60, tokens_per_minute=6_000)
BUDGETED = (
    deployment(models={"gpt-5-mini": "gpt-5-mini"}),
    Budget(name="month", tenant="acme", period="month", usd="1"),
    Budget(name="users", tenant="acme", scope="user", period="day", usd="0.003"),
)
LIMITED = control(
    limited_tenant(
        requests_per_minute=60,
        tokens_per_minute=6_000,
        user_limits=LIMITS,
        model_limits={"gpt-5-mini": Limits(tokens_per_day=60_000)},
    ),
    *BUDGETED,
)
UNLIMITED = control(tenant())
OLDER_METERS = tuple(
    Meter(tenant_id="acme", user_id=user_id, unit=unit, arrival_us=NOW_MS * 1000 + 1)
    for user_id in (None, "ada")
    for unit in UNITS
)
ACCOUNT_EVENTS = st.tuples(
    st.sampled_from(["ask", "ask", "refuse", "settle", "settle", "limit", "unlimit"]),
    st.sampled_from(IDS),
    st.sampled_from(USERS),
    st.booleans(),
)


def account_event(number: int, kind: str, request_id: str, user_id: str | None, *, is_other: bool) -> Any:
    digest = ("f" if is_other else "e") * 64
    match kind:
        case "ask":
            return accepted(request_id, user_id=user_id, digest=digest)
        case "refuse":
            return Refused(ticket=ticket(request_id, user_id=user_id), digest=digest, failure=FAILURE)
        case "settle":
            return call_row(number if is_other else 1, request_id=request_id, tenant_id="acme")
        case _:
            return LIMITED if kind == "limit" else UNLIMITED


@settings(max_examples=300)
@given(
    asked=st.lists(ACCOUNT_EVENTS, max_size=30),
    cut=st.integers(0, 80),
    again=st.integers(0, 30),
    older=st.lists(st.sampled_from(OLDER_METERS), max_size=3),
)
def test_accounts_are_rebuilt_from_what_compaction_leaves(
    asked: Sequence[tuple[str, str, str | None, bool]], cut: int, again: int, older: Sequence[Meter]
) -> None:
    config = LIMITED
    log, money, live = Log(ACCOUNTS), Log(BUDGETS), Accounts()
    for meter in older:
        log.write(Forward((Record(ACCOUNTS, f"meter/acme/{meter.user_id or ''}/{meter.unit}", meter),)), live, NOW_MS)
    history = list(enumerate(asked))
    for offset, (kind, request_id, user_id, is_other) in chain(history, history[again:]):  # a crash before the commit
        event = account_event(offset, kind, request_id, user_id, is_other=is_other)
        if isinstance(event, ControlView):
            config = event
            continue
        here = delivery(offset=offset, timestamp_ms=NOW_MS + offset * 100)
        outcome = limit.STAGE.decide(event, view(live, control=config, delivery=here))
        for table in (log, money):
            table.write(outcome, live, NOW_MS)

    restored = Accounts()
    for table in (money, log):
        rebuilt(table.topic, restored, table.compacted(cut), NOW_MS)

    assert vars(restored.spending)["_accounts"] == vars(live.spending)["_accounts"]
    assert vars(restored.spending)["_held"] == vars(live.spending)["_held"]
    assert restored.model_meters("acme", "gpt-5-mini") == live.model_meters("acme", "gpt-5-mini")
    for request_id in IDS:
        assert restored.registered("acme", request_id) == live.registered("acme", request_id)
    for user_id in USERS:
        assert restored.meters("acme", user_id) == live.meters("acme", user_id)


@dataclass(frozen=True)
class Step:
    request: int
    question: int
    ends: str
    priority: Priority
    after_ms: int


STEPS = st.builds(
    Step,
    request=st.integers(0, 7),
    question=st.integers(0, 1),
    ends=st.sampled_from(["asked", "answered", "failed"]),
    priority=st.sampled_from(["low", "normal", "high"]),
    after_ms=st.sampled_from([1, 1_000, 500_000]),
)


@settings(max_examples=300)
@given(steps=st.lists(STEPS, max_size=25), cut=st.integers(0, 40))
def test_kept_answers_and_flights_are_rebuilt_from_what_compaction_leaves(steps: Sequence[Step], cut: int) -> None:
    log, live, now_ms = Log(CACHE), KeptAnswers(), NOW_MS
    ended: set[int] = set()
    for step in steps:
        if step.request in ended:
            continue
        if step.ends != "asked":
            ended.add(step.request)
        now_ms += step.after_ms
        asked = admitted(f"r-{step.request}", text=f"{step.question}?", priority=step.priority, cache="refresh")
        log.write(_cache_outcome(step, asked, live, now_ms), live, now_ms)

    restored = KeptAnswers()
    rebuilt(CACHE, restored, log.compacted(cut), now_ms)

    for question in (0, 1):
        entry = slot_of(admitted(text=f"{question}?")).entry
        assert restored.fill(entry, now_ms) == live.fill(entry, now_ms)
        assert restored.flight(entry, now_ms) == live.flight(entry, now_ms)


def _cache_outcome(step: Step, asked: Admitted, live: KeptAnswers, now_ms: int) -> Outcome:
    if step.ends == "asked":
        return cache.decide(asked, view(live, now_ms=now_ms))
    done = completion(ticket=asked.ticket, slot=slot_of(asked))
    if step.ends == "failed":
        done = replace(done, status="failed", failure=FAILURE, answer=None)
    return postprocess.decide(done, view(GivenResponses(), now_ms=now_ms))


@given(ended=st.lists(st.sampled_from(IDS), max_size=20), again=st.integers(0, 20))
def test_given_responses_are_rebuilt_from_what_was_written_once_or_twice(ended: Sequence[str], again: int) -> None:
    """Their topic is not compacted; what was not committed is answered by the same response or by none."""
    log, live = Log(RESPONSES), GivenResponses()
    for request_id in chain(ended, ended[again:]):
        log.write(postprocess.decide(completion(ticket=ticket(request_id)), view(live)), live, NOW_MS)

    restored = GivenResponses()
    rebuilt(RESPONSES, restored, log.records, NOW_MS)

    assert len(log.records) == len(set(ended))
    for _, value in log.records:
        response = Response.decode(value)
        assert identity_of(response) in restored
        assert restored.given_ms(response) == live.given_ms(response)


OBJECTS: tuple[Tenant | Deployment | Route | Breaker, ...] = (
    tenant(),
    tenant(open_=False),
    tenant("globex"),
    deployment(),
    route(),
    breaker(until_ms=NOW_MS),
)


@given(
    written=st.lists(st.tuples(st.sampled_from(OBJECTS), st.booleans()), max_size=30),
    cut=st.integers(0, 30),
)
def test_the_configuration_is_rebuilt_from_what_compaction_leaves(
    written: Sequence[tuple[Tenant | Deployment | Route | Breaker, bool]], cut: int
) -> None:
    records = [
        (f"{each.kind}/{each.name}", b"" if is_deleted else CONTROL_OBJECTS.dump_json(each))
        for each, is_deleted in written
    ]
    kept_keys = {key: at for at, (key, _) in enumerate(records[:cut])}
    whole, compacted = ControlView(), ControlView()
    for offset, (key, value) in enumerate(records):
        whole = apply_record(whole, key.encode(), value, offset)
        if offset >= cut or kept_keys[key] == offset:
            compacted = apply_record(compacted, key.encode(), value, offset)
    assert compacted == whole

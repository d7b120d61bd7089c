"""Whatever one tenant asks, the other is decided about as if it were alone: limits, ids, flights, answers, responses.

Both share every partition here, and all that they ask: ids, users, sessions, labels and prompts.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.base import Event
from schemas.control import Limits
from schemas.flow import Admitted, Completion, Miss
from schemas.request import CacheMode, Priority
from schemas.response import Failure, FinishReason, Response
from schemas.topics import COMPLETIONS, RESPONSES, VALIDATED, Topic
from streams.control import ControlView
from streams.runtime.outcome import Absorb, DeadLetter, Finish, Forward, Park, Record
from streams.runtime.stage import Stage, View, completion_record
from streams.stages import cache, limit, postprocess
from streams.state.accounts import Accounts
from streams.state.given_responses import GivenResponses
from streams.state.kept_answers import KeptAnswers
from tests.unit.examples import NOW_MS, accepted, answer, attempt, completion, control, delivery, prompt, tenant

PAIRS = (("acme", "globex"), ("acme", "acme2"), ("a", "a.b"), ("A", "a"), ("a-b", "a_b"), ("0", "00"))
TIGHT = Limits(requests_per_minute=2, tokens_per_minute=2_000)
STEPS_MS = (0, 1, 700, 40_000, 900_000)


@dataclass(frozen=True, slots=True)
class Asking:
    """`who` is 0 or 1: which of the two tenants."""

    who: int
    request_id: str
    text: str
    user_id: str | None
    priority: Priority
    cache: CacheMode


@dataclass(frozen=True, slots=True)
class Answering:
    """The provider answers the tenant's oldest open question, or does not."""

    who: int
    finish_reason: FinishReason | None


Step = Asking | Answering
steps = st.lists(
    st.tuples(
        st.sampled_from(STEPS_MS),
        st.one_of(
            st.builds(
                Asking,
                who=st.integers(0, 1),
                request_id=st.sampled_from(("r-1", "r-2", "r-3")),
                text=st.sampled_from(("Is it ripe?", "Is it rotten?")),
                user_id=st.sampled_from((None, "ann")),
                priority=st.sampled_from(("high", "normal", "low")),
                cache=st.sampled_from(("default", "default", "refresh", "only", "off")),
            ),
            st.builds(Answering, who=st.integers(0, 1), finish_reason=st.sampled_from(("stop", "refusal", None))),
        ),
    ),
    max_size=16,
)


@dataclass
class Pipeline:
    """`limit`, `cache` and `postprocess` on one partition, as the shell joins them. `log` is all they write."""

    tenants: tuple[str, str]
    control: ControlView
    now_ms: int = NOW_MS
    offset: int = 0
    states: dict[str, Any] = field(
        default_factory=lambda: {"limit": Accounts(), "cache": KeptAnswers(), "postprocess": GivenResponses()}
    )
    parked: list[tuple[str, Admitted, int]] = field(default_factory=list[tuple[str, Admitted, int]])
    open: dict[str, list[Miss]] = field(default_factory=lambda: defaultdict(list))
    log: list[tuple[str, str, str, bytes]] = field(default_factory=list[tuple[str, str, str, bytes]])

    def take(self, step: Step, at_ms: int, offset: int) -> None:
        self.now_ms, self.offset = at_ms, offset
        name = self.tenants[step.who]
        match step:
            case Asking():
                asked = accepted(
                    step.request_id,
                    tenant_id=name,
                    user_id=step.user_id,
                    session_id="s-1",
                    labels={"feature": "ripeness"},
                    priority=step.priority,
                    cache=step.cache,
                    prompt=prompt(step.text, max_tokens=500),
                )
                self._deliver(VALIDATED, asked)
            case Answering(finish_reason=reason):
                if self.open[name]:
                    self._deliver(COMPLETIONS, _ended(name, self.open[name].pop(0), reason))

    def _deliver(self, topic: Topic, event: Event) -> None:
        match topic.name:
            case "validated" | "calls":
                self._decide(limit.STAGE, event)
            case "admitted":
                self._decide(cache.STAGE, event)
            case "completions":
                self._decide(postprocess.STAGE, event)
            case "misses":
                assert isinstance(event, Miss)
                self.open[event.ticket.tenant_id or ""].append(event)
            case _:
                pass

    def _decide(self, stage: Stage[Any, Any], event: Any, parked_ms: int | None = None) -> None:
        state = self.states[stage.name]
        arrived = delivery(offset=self.offset, timestamp_ms=self.now_ms)
        outcome = stage.decide(event, View(self.control, state, self.now_ms, arrived, parked_ms))
        match outcome:
            case Forward(records):
                self._write(records)
            case Finish(ended, records):
                self._write((completion_record(ended), *records))
            case Park(on, _):
                self.parked.append((on, event, self.now_ms if parked_ms is None else parked_ms))
            case Absorb(reason):
                self.log.append((_tenant_of(event), stage.name, reason, b""))
            case DeadLetter(reason, detail):
                self.log.append((_tenant_of(event), stage.name, reason, detail.encode()))

    def _write(self, records: Iterable[Record]) -> None:
        """All of it lands on the tables first, as it does where stages write in batches; then what follows from it."""
        written, woken = list(records), list[str]()
        for record in written:
            self.log.append((_tenant_of(record.event), record.topic.name, record.key, record.event.encode()))
            for stage in (limit.STAGE, cache.STAGE, postprocess.STAGE):
                if record.topic in stage.tables:
                    woken += self.states[stage.name].apply(record.event, self.now_ms)
        for record in written:
            self._deliver(record.topic, record.event)
        awake = [each for each in self.parked if each[0] in woken]
        self.parked = [each for each in self.parked if each[0] not in woken]
        for _, event, since_ms in awake:
            self._decide(cache.STAGE, event, since_ms)


def _ended(name: str, asked: Miss, reason: FinishReason | None) -> Completion:
    """An answer that names whose it is."""
    facts: dict[str, Any] = {"ticket": asked.ticket, "slot": asked.slot}
    called = attempt(attempt_id=f"{name}/{asked.ticket.request_id}", finish_reason=reason)
    if reason is None:
        failure = Failure(code="internal_error", message=f"{name} is told so")
        return completion(**facts, status="failed", answer=None, failure=failure, attempts=(called,))
    return completion(**facts, answer=answer(f"for {name}", finish_reason=reason), attempts=(called,))


def _tenant_of(event: Any) -> str:
    """Whose it is, as the event itself says."""
    ticket = getattr(event, "ticket", None)
    named = getattr(event, "tenant_id", None) if ticket is None else ticket.tenant_id
    return named or str(event.namespace).partition("/")[0]


def told(pair: tuple[str, str], taken: Sequence[tuple[int, Step]], *, only: int | None = None) -> Pipeline:
    tenants = (tenant(name, limits=TIGHT, user_limits=TIGHT, cache_ttl_s=600) for name in pair)
    pipeline = Pipeline(pair, control(*tenants))
    at_ms = NOW_MS
    for offset, (after_ms, step) in enumerate(taken):
        at_ms += after_ms
        if only is None or step.who == only:
            pipeline.take(step, at_ms, offset)
    return pipeline


@settings(max_examples=300)
@given(st.sampled_from(PAIRS), steps)
def test_each_of_two_tenants_is_decided_about_as_if_it_were_alone(
    pair: tuple[str, str], taken: list[tuple[int, Step]]
) -> None:
    together = told(pair, taken)
    for who, name in enumerate(pair):
        alone = told(pair, taken, only=who)
        assert [each for each in together.log if each[0] == name] == alone.log
    assert {each[0] for each in together.log} <= set(pair)


@settings(max_examples=300)
@given(st.sampled_from(PAIRS), steps)
def test_no_record_of_one_tenant_names_the_other_or_has_a_key_of_its(
    pair: tuple[str, str], taken: list[tuple[int, Step]]
) -> None:
    keys: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name, topic, key, value in told(pair, taken).log:
        if topic in ("accounts", "cache", "admitted"):
            keys[topic, key].add(name)
        if topic == RESPONSES.name:
            content = Response.decode(value).output
            assert content is None or content.content == f"for {name}"
        other = pair[1 - pair.index(name)]
        assert f"for {other}".encode() + b'"' not in value
        assert f'"{other}/'.encode() not in value
    assert all(len(owners) == 1 for owners in keys.values()), keys

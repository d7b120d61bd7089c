"""Whatever is interrupted, between whichever two writes, and whoever does the same work besides: each request has one
response, each attempt of each round one price, one row is final, and the flight of the question lands once.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from schemas.cached import Fill, FlightEnded
from schemas.call import CallRow
from schemas.control import Deployment
from schemas.flow import Completion, Dispatch, Plan, Target
from schemas.postprocess import AnswerRules, JudgeRule
from schemas.prompt import JsonSchema, JsonSchemaFormat
from schemas.response import Response
from schemas.topics import CACHE, CALLS, DISPATCH, RESPONSES
from schemas.wire import Origin
from streams.content.guard import NO_GUARD
from streams.control import ControlView
from streams.invoke.caller import Caller, Surroundings
from streams.observe.metrics import Metrics
from streams.providers.protocol import Lost, Question, Reply, TurnedAway
from streams.runtime.outcome import Record
from streams.stages.invoke import Backoff
from streams.stages.postprocess import decide
from streams.state.given_responses import GivenResponses
from tests.fakes.provider import saying
from tests.simulated.quiet import quiet
from tests.unit.examples import (
    NOW_MS,
    admitted,
    carried,
    control,
    deployment,
    dispatch,
    plan,
    prompt,
    records_of,
    slot_of,
    ticket,
    view,
)

RULES = AnswerRules(structure="check", re_ask=True, cascade=True)
ASKS_JSON = JsonSchemaFormat(type="json_schema", json_schema=JsonSchema(name="x", schema={"required": ["crop"]}))
TARGETS = (
    Target(deployment="openai-1", provider="openai", model="gpt-5-nano"),
    Target(deployment="other", provider="openai", model="gpt-5-mini"),
)
SAYS = st.sampled_from(("good", "good", "bad", "bad", "busy", "lost"))
REQUESTS = ("r-1", "r-2")


class Rounds(RuleBasedStateMachine):
    """Two topics between two workers, as their logs hold them. What a worker knows it has from the logs."""

    most_attempts = 4

    def __init__(self) -> None:
        super().__init__()
        self.control: ControlView = control(deployment("other"), deployment("judge"))
        self.now_ms = NOW_MS
        self.ids: Iterator[int] = count(1)
        self.says: list[str] = []
        self.dispatched: list[bytes] = []
        self.completed: list[bytes] = []
        self.responses: list[Response] = []
        self.rows: list[CallRow] = []
        self.cache: list[Fill | FlightEnded] = []
        self.next_dispatch = self.next_completion = 0
        self.calls: Counter[str] = Counter()

    @initialize(deadline_ms=st.sampled_from((None, NOW_MS + 3_000)))
    def begin(self, deadline_ms: int | None) -> None:
        for offset, name in enumerate(REQUESTS):
            origin = Origin(topic="llm.requests", partition=0, offset=offset)
            asked = replace(
                dispatch(ticket_=ticket(name, deadline_ms=deadline_ms, origin=origin)),
                prompt=carried(prompt("Which crop?", response_format=ASKS_JSON)),
                slot=slot_of(admitted(name)),
                plan=self.planned(offset),
            )
            self.dispatched.append(asked.encode())

    def planned(self, number: int) -> Plan:
        """One of the requests would rather have an answer that does not pass than none."""
        rules = replace(RULES, otherwise="answer") if number else RULES
        return replace(plan(max_attempts=self.most_attempts), targets=TARGETS, rules=rules)

    async def ask(self, deployment: Deployment, question: Question) -> Reply:
        del question
        self.now_ms += 500
        match self.says.pop(0) if self.says else "bad":
            case "good":
                return saying('{"score": 0.9}' if deployment.name == "judge" else '{"crop": "leek"}')
            case "bad" if deployment.name == "judge":
                return saying('{"score": 0.1}')
            case "busy":
                raise TurnedAway("overloaded", "The provider refused (HTTP 529): wait.", http_status=529)
            case "lost":
                raise Lost("timeout", "The provider did not answer in time.")
            case _:
                return saying("leek")

    def carried_out(self, event: Dispatch) -> Completion:
        async def book(row: CallRow) -> None:
            self.rows.append(row)
            if row.phase == "started":
                self.calls[event.round_name] += 1

        async def sleep_s(seconds: float) -> None:
            self.now_ms += max(round(seconds * 1_000), 1)

        world = Surroundings(lambda: self.now_ms, lambda: f"a-{next(self.ids)}", sleep_s)
        caller = Caller(self, lambda: self.control, world, Backoff(200, 5_000), Metrics())
        return asyncio.run(caller.complete(event, book))

    @property
    def finished(self) -> set[str]:
        return {Completion.decode(each).round_name for each in self.completed}

    def next_to_call(self) -> Dispatch | None:
        """The next that is not completed; those before it are passed over."""
        while self.next_dispatch < len(self.dispatched):
            event = Dispatch.decode(self.dispatched[self.next_dispatch])
            if event.round_name not in self.finished:
                return event
            self.next_dispatch += 1
        return None

    @rule(says=st.lists(SAYS, max_size=4), dies=st.sampled_from(("never", "never", "before", "after")))
    def call(self, says: list[str], dies: str) -> None:
        """A worker that dies before its completion is written leaves a call that nobody hears of."""
        event = self.next_to_call()
        if event is None:
            return
        self.says = says
        ended = self.carried_out(event)
        if dies != "before":
            self.completed.append(ended.encode())
        if dies == "never":
            self.next_dispatch += 1

    @rule(says=st.lists(SAYS, max_size=4))
    def call_beside(self, says: list[str]) -> None:
        """One that was lost: another calls for the same at the same time, and both are heard."""
        event = self.next_to_call()
        if event is not None:
            self.says = says
            first = self.carried_out(event)
            self.completed += [first.encode(), self.carried_out(event).encode()]

    @precondition(lambda self: self.next_completion < len(self.completed))
    @rule(written=st.integers(0, 6), waits_ms=st.sampled_from((0, 50, 60_000)))
    def answer(self, written: int, waits_ms: int) -> None:
        """`written`: of its records; with all of them there the next is taken, unless it dies just then."""
        self.now_ms += waits_ms
        records = self.decided()
        self.write(records[:written])
        if written > len(records):
            self.next_completion += 1

    @rule(by=st.integers(1, 3))
    def take_again(self, by: int) -> None:
        """Its offset was not committed."""
        self.next_completion = max(self.next_completion - by, 0)
        self.next_dispatch = max(self.next_dispatch - by, 0)

    def decided(self) -> tuple[Record, ...]:
        known = GivenResponses()
        for response in self.responses:
            known.apply(response, self.now_ms)
        event = Completion.decode(self.completed[self.next_completion])
        return records_of(decide(event, view(known, control=self.control, now_ms=self.now_ms)))

    def write(self, records: tuple[Record, ...]) -> None:
        for record in records:
            match record.event:
                case Dispatch() as event:
                    assert record.topic is DISPATCH[event.ticket.priority]
                    self.dispatched.append(event.encode())
                case Response() as event:
                    assert record.topic is RESPONSES
                    self.responses.append(event)
                case CallRow() as event:
                    assert record.topic is CALLS
                    self.rows.append(event)
                case Fill() | FlightEnded() as event:
                    assert record.topic is CACHE
                    self.cache.append(event)
                case other:
                    raise AssertionError(other)

    @invariant()
    def nobody_is_answered_twice(self) -> None:
        assert max(Counter(each.request_id for each in self.responses).values(), default=0) <= 1

    @invariant()
    def a_final_row_stays_final_and_a_price_stays_the_same(self) -> None:
        final, cost = set[str](), dict[str, Decimal | None]()
        for row in self.rows:
            if row.phase == "priced":
                assert row.is_final or row.attempt_id not in final
                assert cost.setdefault(row.attempt_id, row.cost.total_usd) == row.cost.total_usd
                if row.is_final:
                    final.add(row.attempt_id)

    @invariant()
    def no_round_is_longer_than_the_budget_of_all(self) -> None:
        for each in map(Completion.decode, self.completed):
            assert len(each.all_attempts) <= self.most_attempts
            assert [attempt.attempt_no for attempt in each.all_attempts] == [*range(1, len(each.all_attempts) + 1)]

    @invariant()
    def no_question_lands_before_its_request_is_answered(self) -> None:
        answered = {each.request_id for each in self.responses}
        for landed in self.cache:
            owner = landed.saved.request_id if isinstance(landed, Fill) else landed.identity.partition("/")[2]
            assert owner in answered

    def teardown(self) -> None:
        """Nothing breaks any more, until there is nothing left to do."""
        for _ in range(1_000):
            event = self.next_to_call()
            if event is not None:
                self.completed.append(self.carried_out(event).encode())
            elif self.next_completion < len(self.completed):
                self.write(self.decided())
                self.next_completion += 1
            else:
                break
        if self.dispatched:
            self.judge()

    def judge(self) -> None:
        assert sorted(each.request_id for each in self.responses) == sorted(REQUESTS)
        priced = {row.attempt_id: row for row in self.rows if row.phase == "priced"}
        finals = Counter(row.request_id for row in priced.values() if row.is_final)
        assert finals == Counter(REQUESTS)
        heard = {attempt.attempt_id for each in map(Completion.decode, self.completed) for attempt in each.all_attempts}
        assert heard <= priced.keys()
        for response in self.responses:
            self.judge_of(response, priced)

    def judge_of(self, response: Response, priced: dict[str, Any]) -> None:
        """Each question lands, and what the response says is what its rows say."""
        owners = {each.saved.request_id if isinstance(each, Fill) else each.identity[5:] for each in self.cache}
        assert response.request_id in owners
        rows = [row for row in priced.values() if row.request_id == response.request_id and row.attempt_no]
        assert len(rows) >= response.attempts
        if len(rows) == response.attempts:
            costs = [row.cost.total_usd for row in rows]
            assert response.cost_usd == (None if None in costs else sum(costs, Decimal(0)))


@pytest.fixture(autouse=True)
def quiet_workers() -> Iterator[None]:
    with quiet():
        yield


class JudgedRounds(Rounds):
    """Answers that pass are judged. What of it holds for all rounds holds here too."""

    most_attempts = 5

    def planned(self, number: int) -> Plan:
        before = super().planned(number)
        judge = Target(deployment="judge", provider="openai", model="gpt-4o-mini", why="judge")
        return replace(
            before,
            targets=(*TARGETS, judge),
            judge_from=len(TARGETS),
            rules=replace(before.rules or RULES, judge=JudgeRule(at_least=0.5)),
            guard=NO_GUARD,
        )

    @invariant()
    def no_word_of_a_judge_is_an_answer(self) -> None:
        for response in self.responses:
            assert response.deployment != "judge"
            assert response.output is None or "score" not in str(response.output.content)

    @invariant()
    def no_call_of_a_judge_ends_a_request(self) -> None:
        assert not [row.attempt_id for row in self.rows if row.is_final and row.deployment == "judge"]

    @invariant()
    def what_passes_by_all_else_is_given_only_with_a_word_of_its_judge(self) -> None:
        for response in self.responses:
            assert response.status != "ok" or response.steps.keys() & {"judge", "structure"}

    def judge_of(self, response: Response, priced: dict[str, Any]) -> None:
        super().judge_of(response, priced)
        final = next(row for row in priced.values() if row.is_final and row.request_id == response.request_id)
        if response.status == "ok" and "judge" in response.steps and final.error_class is None:
            assert (final.deployment, final.attempt_no > 0) == (response.deployment, True)
            assert final.steps == response.steps


TestRounds = Rounds.TestCase
TestRounds.settings = settings(max_examples=50, stateful_step_count=25, deadline=None)
TestJudgedRounds = JudgedRounds.TestCase
TestJudgedRounds.settings = settings(max_examples=50, stateful_step_count=25, deadline=None)

"""Whatever happens to a tenant's requests, the accounts rebuilt from their changelog are the accounts that were."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from schemas.control import Limits
from schemas.flow import Accepted
from schemas.topics import ACCOUNTS, ADMITTED
from schemas.usage import Usage
from streams.cost.ledger import attempt_row
from streams.runtime.outcome import Absorb, DeadLetter, Finish, Forward, Outcome
from streams.stages.limit import decide
from streams.state.accounts import Accounts
from tests.unit.examples import (
    DIGEST,
    NOW_MS,
    OTHER_DIGEST,
    accepted,
    attempt,
    control,
    delivery,
    limited_tenant,
    plan,
    prompt,
    records_of,
    ticket,
    view,
)

REQUESTS_A_MINUTE, BURST, TOKENS_A_MINUTE = 30, 4, 6_000
USERS = (None, "ada", "bob")
CONTROL = control(
    limited_tenant(
        requests_per_minute=REQUESTS_A_MINUTE,
        burst_requests=BURST,
        tokens_per_minute=TOKENS_A_MINUTE,
        user_limits=Limits(requests_per_minute=20, tokens_per_minute=2_000),
    )
)


class Tenants(RuleBasedStateMachine):
    """Requests, repetitions, deliveries of the same offset, settlements and restarts, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.state = Accounts()
        self.log: dict[str, bytes] = {}
        self.offset = 0
        self.now_ms = NOW_MS
        self.taken: list[tuple[Accepted, int, int, Outcome]] = []
        self.asked: set[str] = set()
        self.admitted_at_ms: list[int] = []

    def _carry_out(self, outcome: Outcome) -> None:
        for record in records_of(outcome):
            if record.topic is ACCOUNTS:
                value = record.event.encode()
                self.log.pop(record.key, None)
                self.log[record.key] = value  # compaction keeps the newest of a key, at its own offset
                self.state.apply(record.event, self.now_ms)

    def _decide(self, event: Accepted, offset: int, at_ms: int) -> Outcome:
        delivered = delivery(offset=offset, timestamp_ms=at_ms)
        return decide(event, view(self.state, control=CONTROL, delivery=delivered, now_ms=self.now_ms))

    @rule(milliseconds=st.integers(0, 30_000))
    def time_passes(self, milliseconds: int) -> None:
        self.now_ms += milliseconds

    @rule(
        number=st.integers(0, 15),
        content=st.sampled_from([DIGEST, OTHER_DIGEST]),
        user=st.sampled_from(USERS),
        max_tokens=st.integers(1, 2_500),
        late_ms=st.integers(0, 50),
    )
    def a_request_comes(self, number: int, content: str, user: str | None, max_tokens: int, late_ms: int) -> None:
        event = accepted(f"r-{number}", digest=content, user_id=user, prompt=prompt(max_tokens=max_tokens))
        self.offset += 1
        at_ms = self.now_ms - late_ms
        outcome = self._decide(event, self.offset, at_ms)
        if event.ticket.request_id in self.asked:
            assert isinstance(outcome, Absorb | DeadLetter)
        else:
            assert isinstance(outcome, Forward | Finish)
            self.taken.append((event, self.offset, at_ms, outcome))
            if isinstance(outcome, Forward):
                self.admitted_at_ms.append(at_ms)
        self.asked.add(event.ticket.request_id)
        self._carry_out(outcome)

    @precondition(lambda self: bool(self.taken))
    @rule(data=st.data())
    def an_event_is_delivered_again(self, data: st.DataObject) -> None:
        event, offset, at_ms, before = data.draw(st.sampled_from(self.taken))

        outcome = self._decide(event, offset, at_ms)

        assert type(outcome) is type(before)
        assert [record.topic for record in records_of(outcome)] == ([ADMITTED] if isinstance(before, Forward) else [])
        if isinstance(outcome, Finish) and isinstance(before, Finish):
            assert outcome.completion.failure == before.completion.failure

    @rule(number=st.integers(0, 15), which=st.integers(1, 3), tokens=st.integers(0, 3_000))
    def a_call_is_priced(self, number: int, which: int, tokens: int) -> None:
        called = attempt(which, attempt_id=f"r-{number}/{which}")
        asked, used = ticket(f"r-{number}"), Usage(text_output_tokens=tokens)
        row = attempt_row(asked, plan(), called, "priced", usage=used)

        self._carry_out(decide(row, view(self.state, control=CONTROL, now_ms=self.now_ms)))

        again = decide(row, view(self.state, control=CONTROL, now_ms=self.now_ms))
        assert isinstance(again, Absorb)

    @rule()
    def the_worker_is_replaced(self) -> None:
        self.state = self._restored()

    def _restored(self) -> Accounts:
        restored = Accounts()
        assert ACCOUNTS.events is not None
        for value in self.log.values():
            restored.apply(ACCOUNTS.events.decode(value), self.now_ms)
        return restored

    @invariant()
    def what_is_rebuilt_is_what_was_there(self) -> None:
        restored = self._restored()
        for user in USERS:
            assert restored.meters("acme", user) == self.state.meters("acme", user), user
        for request_id in self.asked:
            assert restored.registered("acme", request_id) == self.state.registered("acme", request_id)

    @invariant()
    def no_minute_has_more_requests_than_the_burst_and_the_rate(self) -> None:
        times = sorted(self.admitted_at_ms)
        for first, since_ms in enumerate(times):
            for last in range(first, len(times)):
                window_ms = times[last] - since_ms
                # events come up to 50 ms late, and count from their own time
                allowed = BURST + (window_ms + 50) * REQUESTS_A_MINUTE / 60_000
                assert last - first + 1 <= allowed


TestTenants = Tenants.TestCase
TestTenants.settings = settings(max_examples=120, stateful_step_count=30, deadline=None)

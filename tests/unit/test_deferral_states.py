"""Whatever is asked, waits, crashes and restarts, and whenever: nobody is lost or let in twice, lines keep their order,
and no limit is exceeded.
"""

from collections.abc import Callable
from contextlib import suppress

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from schemas.account import Registration
from schemas.control import Limits
from schemas.topics import CALLS, DEFERRED, VALIDATED, Topic
from schemas.usage import Usage
from streams.control import without_object
from streams.cost.ledger import attempt_row
from tests.unit.deferring import CrashError, Stand, deferring
from tests.unit.examples import attempt, control, plan, prompt, tenant, ticket

INTERVAL_MS = 10_000
BURST = 2
LIMITS = Limits(requests_per_minute=60_000 // INTERVAL_MS, burst_requests=BURST)
OF_USERS = Limits(requests_per_minute=3, burst_requests=1)
USERS = ("ada", "bob", None)
LONGEST_MS = 120_000


class Deferring(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.mine = Stand(deferring(limits=LIMITS, user_limits=OF_USERS, defer_max_s=LONGEST_MS // 1_000))
        self.asked: list[tuple[str, str | None]] = []

    @rule(user_id=st.sampled_from(USERS), deadline=st.sampled_from((None, None, None, 15_000, 40_000)))
    def somebody_asks(self, user_id: str | None, deadline: int | None) -> None:
        name = f"r-{len(self.asked)}"
        self.asked.append((name, user_id))
        deadline_ms = None if deadline is None else self.mine.now_ms + deadline
        self.mine.ask(name, user_id=user_id, deadline_ms=deadline_ms)

    @rule(topic=st.sampled_from((VALIDATED, DEFERRED)), times=st.integers(1, 4))
    def some_are_taken(self, topic: Topic, times: int) -> None:
        for _ in range(times):
            self.mine.take(topic)

    @rule(ms=st.sampled_from((200, 3_000, 21_000)))
    def time_goes_by(self, ms: int) -> None:
        self.mine.wait(ms)

    @rule()
    def the_clock_goes_on_while_nobody_works(self) -> None:
        self.mine.now_ms += 25_000

    @rule()
    def progress_is_committed(self) -> None:
        self.mine.commit()

    @rule(written=st.integers(0, 4), ms=st.sampled_from((0, 11_000)))
    def the_process_dies(self, written: int, ms: int) -> None:
        self.mine.crash_after = written
        with suppress(CrashError):
            self.mine.now_ms += ms
            self.mine.take_all()
        self.mine.start()

    @invariant()
    def no_limit_is_exceeded(self) -> None:
        self._within(BURST, INTERVAL_MS, lambda _user_id: True)
        for each in USERS[:2]:
            self._within(1, 20_000, lambda user_id, mine=each: user_id == mine)

    def _within(self, burst: int, interval_ms: int, counts: Callable[[str | None], bool]) -> None:
        """By the times that were charged: a newcomer's record's own, or the clock's of who has waited."""
        users = dict(self.asked)
        charged = sorted(at_ms for name, at_ms in self._charged_ms().items() if counts(users[name]))
        for first, begins_ms in enumerate(charged):
            for last, ends_ms in enumerate(charged[first:]):
                assert last + 1 <= burst + (ends_ms - begins_ms) / interval_ms, (charged, first, last)

    def _charged_ms(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for change in self.mine.changelog:
            assert isinstance(change, Registration)
            if change.deferred_until_ms is None and change.refusal is None:
                seen_ms = change.seen_at_ms
                assert change.request_id not in found, "charged twice"
                waited = change.deferred_offset is not None
                found[change.request_id] = self.mine.charged_ms[change.request_id] if waited else seen_ms
        return found

    @invariant()
    def nobody_is_let_in_and_told_that_it_is_not(self) -> None:
        assert not set(self.mine.let_in) & self.mine.ended.keys()

    @invariant()
    def nobody_is_let_in_uncharged(self) -> None:
        assert set(self.mine.let_in) <= set(self.mine.registered_in)

    @invariant()
    def lines_keep_their_order(self) -> None:
        for user in USERS:
            mine = [int(name[2:]) for name in self.mine.registered_in if dict(self.asked)[name] == user]
            assert mine == sorted(mine)

    def teardown(self) -> None:
        self.mine.take_all()
        self.mine.wait(LONGEST_MS + 1_000)
        while self.mine.take(CALLS):
            pass
        assert set(self.mine.let_in) | self.mine.ended.keys() == {name for name, _ in self.asked}
        assert self.mine.waiting == 0
        assert self.mine.work.parked_count == 0
        self.no_limit_is_exceeded()
        self.lines_keep_their_order()


CONFIGURED = {
    "as it was": deferring(limits=LIMITS, user_limits=OF_USERS, defer_max_s=LONGEST_MS // 1_000),
    "more": deferring(limits=Limits(requests_per_minute=600), defer_max_s=LONGEST_MS // 1_000),
    "tokens": deferring(limits=Limits(tokens_per_minute=1_000), user_limits=OF_USERS, defer_max_s=LONGEST_MS // 1_000),
    "too few tokens for some": deferring(limits=Limits(tokens_per_minute=600), defer_max_s=LONGEST_MS // 1_000),
    "few may wait": deferring(limits=LIMITS, user_limits=OF_USERS, max_deferred=2, defer_max_s=LONGEST_MS // 1_000),
    "rejects": control(tenant(limits=LIMITS, user_limits=OF_USERS)),
    "switched off": deferring(enabled=False),
    "removed": without_object(deferring(), "tenant/acme", 60),
}
REFUSED = {"rate_limited", "deadline_exceeded", "unknown_tenant", "unauthenticated"}


class Reconfigured(RuleBasedStateMachine):
    """Whatever becomes of the tenant and its limits while requests wait: each ends once, in the order of its line."""

    def __init__(self) -> None:
        super().__init__()
        self.mine = Stand(CONFIGURED["as it was"])
        self.asked: dict[str, str | None] = {}
        self.settled: set[str] = set()

    @rule(user_id=st.sampled_from(USERS[1:]), tokens=st.sampled_from((1, 400, 700)), times=st.integers(1, 4))
    def somebody_asks(self, user_id: str | None, tokens: int, times: int) -> None:
        for _ in range(times):
            name = f"r-{len(self.asked)}"
            self.asked[name] = user_id
            self.mine.ask(name, user_id=user_id, input_tokens=0, prompt=prompt(max_tokens=tokens))

    @rule(name=st.sampled_from((*sorted(CONFIGURED), "as it was", "rejects", "rejects")))
    def the_tenant_changes(self, name: str) -> None:
        self.mine.control = CONFIGURED[name]

    @rule(ms=st.sampled_from((200, 1_500, 21_000)))
    def time_goes_by(self, ms: int) -> None:
        self.mine.wait(ms)

    @rule(user_id=st.sampled_from(USERS[1:]), ms=st.sampled_from((11_000, 30_000)))
    def somebody_is_seen_before_those_for_whom_there_has_come_to_be_room(self, user_id: str | None, ms: int) -> None:
        self.mine.now_ms += ms
        self.somebody_asks(user_id, 1, 1)
        while self.mine.take(VALIDATED):
            pass

    @rule(topic=st.sampled_from((VALIDATED, DEFERRED, CALLS)), times=st.integers(2, 8))
    def some_are_taken(self, topic: Topic, times: int) -> None:
        for _ in range(times):
            self.mine.take(topic)

    @rule(used=st.sampled_from((0, 10, 900)))
    def a_call_is_settled(self, used: int) -> None:
        for name in self.mine.let_in:
            if name not in self.settled:
                self.settled.add(name)
                usage, made = Usage(uncached_input_tokens=used), attempt(attempt_id=f"attempt-{name}")
                self.mine.settle(attempt_row(ticket(name), plan(), made, "priced", usage=usage))
                return

    @rule()
    def progress_is_committed(self) -> None:
        self.mine.commit()

    @rule(written=st.integers(0, 4))
    def the_process_dies(self, written: int) -> None:
        self.mine.crash_after = written
        with suppress(CrashError):
            self.mine.take_all()
        self.mine.start()

    @invariant()
    def nobody_is_let_in_twice_or_told_that_it_is_not(self) -> None:
        assert not set(self.mine.let_in) & self.mine.ended.keys()
        assert len(self.charged) == len(set(self.charged))
        assert set(self.mine.let_in) <= set(self.charged)

    @invariant()
    def lines_keep_their_order(self) -> None:
        for user in USERS[1:]:
            mine, still = (
                [int(name[2:]) for name in names if self.asked[name] == user] for names in (self.charged, self.waiting)
            )
            assert mine == sorted(mine)
            assert not mine or not still or mine[-1] < min(still)

    @invariant()
    def who_is_not_let_in_is_told_why(self) -> None:
        assert {end.failure.code for end in self.mine.ended.values() if end.failure is not None} <= REFUSED
        assert None not in {end.failure for end in self.mine.ended.values()}

    @property
    def charged(self) -> list[str]:
        return [
            change.request_id
            for change in self.mine.changelog
            if isinstance(change, Registration)
            if change.refusal is None and change.deferred_until_ms is None and not change.settled_attempts
        ]

    @property
    def waiting(self) -> list[str]:
        newest = {each.request_id: each for each in self.mine.changelog if isinstance(each, Registration)}
        return [name for name, each in newest.items() if each.deferred_until_ms is not None]

    def teardown(self) -> None:
        self.mine.take_all()
        self.mine.wait(LONGEST_MS + 1_000)
        self.mine.take_all()
        assert set(self.mine.let_in) | self.mine.ended.keys() == self.asked.keys()
        assert (self.mine.waiting, self.mine.work.parked_count) == (0, 0)
        self.lines_keep_their_order()
        self.nobody_is_let_in_twice_or_told_that_it_is_not()


TestDeferring = Deferring.TestCase
TestDeferring.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestReconfigured = Reconfigured.TestCase
TestReconfigured.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)

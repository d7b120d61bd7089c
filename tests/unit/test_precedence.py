"""Who is held up by those that asked before: the same as by a look at each of them, and without one."""

from itertools import product
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from schemas.account import Meters, Registration
from schemas.control import Limits, Tenant
from schemas.response import Failure
from streams.deferral import is_behind
from streams.limits import Asker, Charge, Short, demands, weigh
from streams.state.accounts import Accounts
from streams.state.waiting import Crowd
from tests.unit.deferring import Stand, deferring
from tests.unit.examples import DIGEST, NOW_MS, tenant

USERS, MODELS = ("ada", "bob", "cyd", None), ("gpt-5", "gpt-5-mini", None)
SPANS_MS = st.sampled_from((-60_000, 0, 20_000, 60_000))
"""Few, so that several meters come to take a request at one moment."""
ASKED = tuple(product(("ada", "bob", "dot"), MODELS[:2], (0, 2), (20_001, -1, 60_000)))
"""Users, models, how many have asked since, and when."""
LIMITS = st.sampled_from(
    (
        Limits(),
        Limits(requests_per_minute=2, burst_requests=1),
        Limits(tokens_per_minute=100),
        Limits(requests_per_minute=6, tokens_per_minute=100, tokens_per_hour=300),
    )
)


def is_behind_one_of_all(
    crowd: Crowd, mine: Tenant, asker: Asker, offset: int, accounts: Accounts, now_ms: int
) -> bool:
    """By a look at everybody who is first in a line."""
    return any(
        _holds_up(mine, Asker(asker.tenant_id, *line), crowd.head(line).tokens, asker, accounts, now_ms)
        for at, line in crowd.heads
        if at < offset
    )


def _holds_up(mine: Tenant, other: Asker, tokens: int, asker: Asker, accounts: Accounts, now_ms: int) -> bool:
    found = weigh(demands(mine, other.user_id, other.model, tokens), accounts, other, now_ms)
    match found:
        case Charge():
            return True
        case Short(demand):
            shared = {"tenant": True, "user": asker.user_id == other.user_id, "model": asker.model == other.model}
            return shared[demand.scope]
        case Failure():
            return True


class Asking(RuleBasedStateMachine):
    """Meters stand anywhere, and time goes back as well: newcomers are weighed by their records' own."""

    def __init__(self) -> None:
        super().__init__()
        self.accounts = Accounts()
        self.waiting: dict[str, dict[str, Any]] = {}
        once = Limits(requests_per_minute=2, burst_requests=1)
        self.tenant = tenant(limits=once, user_limits=once, model_limits={"gpt-5": once})
        self.offset = 0

    def register(self, name: str, **facts: Any) -> None:
        change = Registration(tenant_id="acme", request_id=name, digest=DIGEST, seen_at_ms=NOW_MS, **facts)
        self.accounts.apply(change, NOW_MS)

    @rule(user_id=st.sampled_from(USERS), model=st.sampled_from(MODELS), tokens=st.integers(1, 120))
    def somebody_comes_to_wait(self, user_id: str | None, model: str | None, tokens: int) -> None:
        self.offset += 1
        facts = {"user_id": user_id, "model": model, "offset": self.offset}
        self.waiting[f"r-{self.offset}"] = facts
        self.register(f"r-{self.offset}", **facts, deferred_until_ms=NOW_MS + 1, deferred_tokens=tokens)

    @rule(which=st.integers(0, 100), stands_ms=SPANS_MS)
    def somebody_goes_on(self, which: int, stands_ms: int) -> None:
        if self.waiting:
            name = sorted(self.waiting)[which % len(self.waiting)]
            facts = self.waiting.pop(name)
            self.register(name, **facts, **self.meters(facts["user_id"], stands_ms), deferred_offset=1)

    @rule(user_id=st.sampled_from(USERS), model=st.sampled_from(MODELS), stands_ms=SPANS_MS)
    def meters_move(self, user_id: str | None, model: str | None, stands_ms: int) -> None:
        self.offset += 1
        self.register(
            f"r-{self.offset}", user_id=user_id, model=model, offset=self.offset, **self.meters(user_id, stands_ms)
        )

    def meters(self, user_id: str | None, stands_ms: int) -> dict[str, Meters | None]:
        at_us = (NOW_MS + stands_ms) * 1_000
        moved = Meters(requests_us=at_us, tokens_us=at_us - 7_000_000, tokens_hour_us=at_us + 1)
        return {
            "tenant_meters": moved.moved("tokens", at_us - 20_000_000),
            "user_meters": None if user_id is None else moved,
            "model_meters": moved.moved("requests", at_us + 9_000_000),
        }

    @rule(limits=LIMITS, user_limits=LIMITS, model_limits=LIMITS)
    def limits_change(self, limits: Limits, user_limits: Limits, model_limits: Limits) -> None:
        self.tenant = tenant(limits=limits, user_limits=user_limits, model_limits={"gpt-5": model_limits})

    @invariant()
    def the_answer_is_that_of_a_look_at_all(self) -> None:
        crowd = self.accounts.waiting.of("acme")
        if crowd is None:
            return
        for user_id, model, back, ms in ASKED:
            asker, offset, now_ms = Asker("acme", user_id, model), self.offset + 1 - back, NOW_MS + ms
            asked = (crowd, self.tenant, asker, offset, self.accounts, now_ms)
            assert is_behind(*asked) == is_behind_one_of_all(*asked), asked


TestAsking = Asking.TestCase
TestAsking.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


class Counting(Accounts):
    """Counts how often it is asked where a meter stands."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    def meters(self, tenant_id: str, user_id: str | None) -> Meters | None:
        self.looks += 1
        return super().meters(tenant_id, user_id)


def looks(users: int, **facts: Any) -> int:
    """For one second in which nobody of so many who wait can go on, and one newcomer who can, if anybody may."""
    mine = Stand(deferring(**facts), accounts=Counting)
    for which in ("first", "second"):
        for number in range(users):
            mine.ask(f"{which}-{number}", user_id=f"user-{number}")
    mine.take_all()
    assert mine.waiting == users
    assert isinstance(mine.state, Counting)
    mine.state.looks = 0
    mine.wait(1_000)
    mine.ask("newcomer", user_id="newcomer")
    mine.take_all()
    return mine.state.looks


def test_a_thousand_users_that_wait_are_looked_at_ten_times_as_often_as_a_hundred() -> None:
    of_users = Limits(requests_per_minute=1, burst_requests=1)

    for of_tenant in (Limits(), Limits(requests_per_minute=100_000), Limits(tokens_per_minute=10_000_000)):
        assert looks(1_000, limits=of_tenant, user_limits=of_users) <= 11 * looks(
            100, limits=of_tenant, user_limits=of_users
        )

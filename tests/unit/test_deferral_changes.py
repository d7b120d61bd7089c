"""What waits for its limits when they, or its tenant, are changed meanwhile."""

import pytest

from schemas.control import Limits
from schemas.topics import VALIDATED
from streams.control import ControlView, without_object
from tests.unit.deferring import MINUTE_MS, ONE_A_MINUTE, asked, deferring, failure_of, stand
from tests.unit.examples import control, prompt, tenant


def test_a_limit_that_is_raised_counts_within_a_second() -> None:
    mine = asked(stand(limits=ONE_A_MINUTE), "a", "b")

    mine.control = deferring(limits=Limits(requests_per_minute=600))
    mine.wait(1_000)

    assert mine.let_in == ["a", "b"]


@pytest.mark.parametrize(
    ("left", "code"),
    [
        (without_object(deferring(), "tenant/acme", 60), "unknown_tenant"),
        (deferring(enabled=False), "unauthenticated"),
    ],
    ids=["removed", "switched off"],
)
def test_what_waits_for_limits_of_a_tenant_that_is_no_longer_served_is_refused_and_not_let_in(
    left: ControlView, code: str
) -> None:
    mine = asked(stand(limits=ONE_A_MINUTE), "a", "b", "c", user_id="ada")
    asked(mine, "d", user_id="bob")

    mine.control = left
    mine.wait(1_000)

    assert (mine.let_in, mine.waiting) == (["a"], 0)
    assert sorted(mine.ended) == ["b", "c", "d"]
    assert {(end.status, failure_of(end).code) for end in mine.ended.values()} == {("rejected", code)}


def test_what_waits_when_the_tenant_comes_to_reject_goes_on_and_is_overtaken_by_nobody() -> None:
    mine = asked(stand(limits=ONE_A_MINUTE), "a", "b", "c")
    mine.control = control(tenant(limits=ONE_A_MINUTE))

    mine.now_ms += MINUTE_MS
    mine.ask("d")
    while mine.take(VALIDATED):
        pass
    mine.wait(2 * MINUTE_MS)
    asked(mine, "e")

    assert mine.let_in == ["a", "b", "c", "e"]
    failure = failure_of(mine.ended["d"])
    assert (failure.code, failure.retryable, failure.retry_after_ms) == ("rate_limited", True, 2 * MINUTE_MS)
    assert "others of the tenant" in failure.message


def test_who_waits_for_more_than_its_limit_has_come_to_let_through_is_refused_when_its_turn_comes() -> None:
    mine = asked(stand(limits=Limits(tokens_per_minute=1_000)), "a", "b", input_tokens=0, prompt=prompt(max_tokens=900))
    asked(mine, "small", input_tokens=0, prompt=prompt(max_tokens=10))

    mine.control = deferring(limits=Limits(tokens_per_minute=100))
    mine.wait(10 * MINUTE_MS)

    failure = failure_of(mine.ended["b"])
    assert (failure.code, failure.retryable) == ("rate_limited", False)
    assert "lets at most 100 through at once" in failure.message
    assert (mine.let_in, mine.waiting) == (["a", "small"], 0)


def test_who_can_never_fit_any_more_lets_nobody_overtake_those_behind_it_before_it_is_told_so() -> None:
    mine = stand(limits=Limits(tokens_per_minute=1_000))
    for name, tokens in {"a": 900, "large": 700, "b": 400}.items():
        asked(mine, name, input_tokens=0, prompt=prompt(max_tokens=tokens))

    mine.control = deferring(limits=Limits(tokens_per_minute=600))
    mine.now_ms += 20_000
    mine.ask("c", input_tokens=0, prompt=prompt(max_tokens=1))
    while mine.take(VALIDATED):
        pass
    mine.wait(2 * MINUTE_MS)

    assert (mine.let_in, set(mine.ended)) == (["a", "b", "c"], {"large"})

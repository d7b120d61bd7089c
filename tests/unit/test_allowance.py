"""Calls and tokens a minute are kept before a provider has to refuse, and tokens are settled by what was used."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.control import ProviderLimits, Slowdown
from streams.invoke.allowance import NOBODY, Ahead, Allowance, Terms, terms_of
from streams.invoke.share import WHOLE, Share
from tests.unit.examples import NOW_MS, deployment

HALF = Share(frozenset({0}), 2)


def terms(share: Share = WHOLE, *, slowdown: Slowdown | None = None, provider: str = "openai", **limits: Any) -> Terms:
    limited = deployment(provider=provider, limits=ProviderLimits(**limits))
    return terms_of(limited, slowdown, share, NOW_MS)


def slowed(per_minute: int, *, until_ms: int = NOW_MS + 60_000) -> Slowdown:
    return Slowdown(
        name="openai-1", requests_per_minute=per_minute, goal_per_minute=900, cut_at_ms=NOW_MS, until_ms=until_ms
    )


def test_a_deployment_without_limits_has_only_the_workers_own_places() -> None:
    assert terms() == Terms(256)


def test_who_holds_no_partition_may_ask_nothing() -> None:
    assert terms(Share(frozenset(), 2), requests_per_minute=60).places == 0


def test_calls_at_once_are_the_less_of_what_the_worker_and_all_of_them_may_have() -> None:
    assert terms(HALF, max_concurrency=100).places == 50
    assert terms(HALF, max_concurrency=1_000).places == 256


def test_a_slowdown_counts_while_it_lasts_and_only_where_it_is_the_lower_limit() -> None:
    assert terms(slowdown=slowed(300)) == terms(requests_per_minute=300)
    assert terms(slowdown=slowed(300), requests_per_minute=200) == terms(requests_per_minute=200)
    assert terms(slowdown=slowed(300), requests_per_minute=600) == terms(requests_per_minute=300)
    assert terms(slowdown=slowed(300, until_ms=NOW_MS)) == terms()


def began_ms(allowance: Allowance, kept: Terms, calls: int, tokens: int = 0) -> list[int]:
    """When each of so many calls begins if each is made as soon as it may."""
    now_ms, began = NOW_MS, list[int]()
    for _ in range(calls):
        now_ms += allowance.wait_ms(kept, tokens, now_ms)
        assert allowance.wait_ms(kept, tokens, now_ms) == 0
        allowance.take(kept, tokens, now_ms)
        began.append(now_ms)
    return began


@settings(deadline=None)
@given(
    per_minute=st.integers(2, 300),
    burst_s=st.integers(1, 60),
    held=st.integers(1, 4),
    lull_ms=st.integers(0, 200_000),
)
def test_in_no_minute_are_there_more_calls_than_the_workers_share(
    per_minute: int, burst_s: int, held: int, lull_ms: int
) -> None:
    kept = terms(Share(frozenset(range(held)), 4), requests_per_minute=per_minute, burst_s=burst_s)
    allowance = Allowance()
    allowance.take(kept, 0, NOW_MS - lull_ms)

    began = began_ms(allowance, kept, 2 * per_minute)

    most = max(per_minute * held // 4, 1) + 1
    for number, first_ms in enumerate(began):
        assert sum(first_ms <= at_ms < first_ms + 60_000 for at_ms in began[number:]) <= most


def test_nearly_all_of_the_limit_is_used() -> None:
    began = began_ms(Allowance(), terms(requests_per_minute=600), 600)

    assert began[-1] - began[0] <= 61_000


def test_a_worker_begins_with_one_call_and_not_with_a_burst() -> None:
    kept = terms(requests_per_minute=600, burst_s=10)

    first, second, *_ = began_ms(Allowance(), kept, 3)

    assert first == NOW_MS
    assert second > NOW_MS


def test_a_prompt_larger_than_a_burst_goes_when_nothing_is_owed_and_the_next_waits_for_it() -> None:
    first, second = began_ms(Allowance(), terms(tokens_per_minute=60_000), 2, tokens=30_000)

    assert first == NOW_MS
    assert 30_000 <= second - first <= 31_000


def test_tokens_that_were_not_used_are_given_back_where_the_provider_counts_what_is_used() -> None:
    kept, allowance = terms(tokens_per_minute=60_000, provider="anthropic"), Allowance()
    hold = allowance.take(kept, 30_000, NOW_MS)

    allowance.give_back(hold, kept, 10_000, NOW_MS)

    assert 10_000 <= allowance.wait_ms(kept, 30_000, NOW_MS) <= 11_000


def test_tokens_that_were_not_used_stay_counted_where_the_provider_counts_what_was_asked_for() -> None:
    kept, allowance = terms(tokens_per_minute=60_000), Allowance()
    hold = allowance.take(kept, 30_000, NOW_MS)
    before_ms = allowance.wait_ms(kept, 30_000, NOW_MS)

    allowance.give_back(hold, kept, 10_000, NOW_MS)

    assert allowance.wait_ms(kept, 30_000, NOW_MS) == before_ms


def test_more_tokens_than_were_held_are_owed_everywhere() -> None:
    kept, allowance = terms(tokens_per_minute=60_000), Allowance()
    hold = allowance.take(kept, 10_000, NOW_MS)

    allowance.give_back(hold, kept, 20_000, NOW_MS)

    assert allowance.wait_ms(kept, 10_000, NOW_MS) >= 20_000


def test_a_call_that_was_not_made_after_all_has_taken_nothing() -> None:
    kept, allowance = terms(requests_per_minute=60, tokens_per_minute=60_000), Allowance()

    allowance.release(allowance.take(kept, 30_000, NOW_MS), kept)

    assert allowance.wait_ms(kept, 30_000, NOW_MS) == 0
    assert allowance.at_once == 0


@pytest.mark.parametrize(("before", "after", "times"), [(WHOLE, HALF, 2), (HALF, WHOLE, 0.5)])
def test_what_is_owed_stays_owed_when_the_share_changes(before: Share, after: Share, times: float) -> None:
    allowance, kept = Allowance(), terms(before, tokens_per_minute=60_000)
    allowance.take(kept, 30_000, NOW_MS)
    owed_ms = allowance.wait_ms(kept, 30_000, NOW_MS)

    allowance.rescale(before, after, NOW_MS)

    assert allowance.wait_ms(terms(after, tokens_per_minute=60_000), 30_000, NOW_MS) == pytest.approx(
        owed_ms * times, abs=2
    )


def test_what_was_owed_at_a_slower_rate_is_over_with_it() -> None:
    slow, fast = terms(requests_per_minute=6_000, slowdown=slowed(1)), terms(requests_per_minute=6_000)
    allowance = Allowance()
    allowance.take(slow, 1, NOW_MS)

    assert allowance.wait_ms(slow, 1, NOW_MS + 5_000) > 50_000
    assert allowance.wait_ms(fast, 1, NOW_MS + 5_000) <= 1_000


@pytest.mark.parametrize(("before", "after"), [(600, 60_000), (60_000, 600), (6_000, 9_000)])
def test_tokens_that_are_owed_stay_owed_when_the_limit_changes(before: int, after: int) -> None:
    old, new = terms(tokens_per_minute=before), terms(tokens_per_minute=after)
    allowance = Allowance()
    allowance.take(old, 3_000, NOW_MS)
    owed_ms = allowance.wait_ms(old, 1_000, NOW_MS)

    assert allowance.wait_ms(new, 1_000, NOW_MS) == pytest.approx(owed_ms * before / after, rel=0.01)
    assert allowance.wait_ms(old, 1_000, NOW_MS) == pytest.approx(owed_ms, rel=0.01)


def test_a_raised_limit_is_not_held_up_by_what_was_owed_at_the_old_one() -> None:
    low, high = terms(tokens_per_minute=1_000), terms(tokens_per_minute=1_000_000)
    allowance = Allowance()
    allowance.take(low, 30_000, NOW_MS)
    assert allowance.wait_ms(low, 100, NOW_MS) > 25 * 60_000

    assert allowance.wait_ms(high, 100, NOW_MS) < 2_500


def test_what_is_given_back_after_a_change_is_given_back_at_the_new_rate() -> None:
    low, high = terms(tokens_per_minute=1_000), terms(tokens_per_minute=1_000_000)
    allowance = Allowance()
    hold = allowance.take(low, 30_000, NOW_MS)

    allowance.follow(high, NOW_MS)
    allowance.release(hold, high)

    assert allowance.wait_ms(high, 1_000, NOW_MS) == 0
    assert allowance.tokens_us == pytest.approx(NOW_MS * 1_000, abs=10)


def test_the_wait_for_a_call_to_end_is_as_long_as_calls_usually_take() -> None:
    kept, allowance = Terms(2), Allowance(at_once=2, call_ms=400)

    assert [allowance.busy_ms(kept, Ahead(calls)) for calls in (0, 1, 2)] == [400, 400, 800]
    assert Allowance(at_once=1).busy_ms(kept, NOBODY) == 0


def test_whoever_comes_last_waits_for_all_that_are_before_it() -> None:
    kept, allowance = terms(requests_per_minute=600, tokens_per_minute=60_000, burst_s=1), Allowance()
    allowance.take(kept, 10, NOW_MS)

    waits_ms = [allowance.wait_ms(kept, 10, NOW_MS, Ahead(calls, 10 * calls)) for calls in (0, 10, 100)]

    assert waits_ms == pytest.approx([102, 1_118, 10_268], abs=3)
    assert allowance.wait_ms(kept, 10, NOW_MS, Ahead(1, 30_000)) >= 29_000

"""Limits of an hour, of a day and of a model, and what stops a tenant altogether."""

from typing import Any

from schemas.control import Limits
from schemas.money import SpendStop
from schemas.topics import ACCOUNTS
from streams.state.accounts import Accounts
from tests.unit.examples import (
    NOW_MS,
    accepted,
    control,
    limited_tenant,
    prompt,
    table_records,
    tenant,
)
from tests.unit.limiter import MINUTE_MS, Limiter, limiter, priced


def test_a_tenant_that_is_stopped_for_spending_too_fast_is_refused_until_that_ends() -> None:
    limited = Limiter(control(tenant("globex"), spend_stop(until_ms=NOW_MS + 60_000)))

    refusal = limited.refuses()
    assert (refusal.code, refusal.retryable, refusal.retry_after_ms) == ("spend_stopped", True, 60_000)
    assert limited.admits(at_ms=NOW_MS + 60_000)
    assert limited.admits(tenant_id="globex")


def spend_stop(*, until_ms: int) -> SpendStop:
    return SpendStop(name="acme", usd_per_minute="12", threshold_usd="10", since_ms=NOW_MS - 1, until_ms=until_ms)


def of_model(**limits: int) -> Limiter:
    return Limiter(control(limited_tenant(model_limits={"gpt-5-mini": Limits(**limits)})))


def test_tokens_of_an_hour_and_of_a_day_are_limited_beside_those_of_a_minute() -> None:
    limited = limiter(tokens_per_minute=2_000, tokens_per_hour=3_000, tokens_per_day=4_000)
    asked: dict[str, Any] = {"prompt": prompt(max_tokens=990)}  # a thousand with its prompt

    assert [limited.admits(**asked) for _ in range(2)] == [True, True]
    assert "limit of 2000 tokens a minute is used up" in limited.refuses(**asked).message
    assert limited.admits(at_ms=NOW_MS + MINUTE_MS, **asked)
    by_hour = limited.refuses(at_ms=NOW_MS + 2 * MINUTE_MS, **asked)
    assert "limit of 3000 tokens an hour is used up" in by_hour.message
    assert by_hour.retry_after_ms == 18 * MINUTE_MS
    assert limited.admits(at_ms=NOW_MS + 20 * MINUTE_MS, **asked)
    assert "limit of 4000 tokens a day is used up" in limited.refuses(at_ms=NOW_MS + 40 * MINUTE_MS, **asked).message


def test_a_models_limit_holds_for_all_users_of_the_tenant_and_for_no_other_model() -> None:
    limited = of_model(requests_per_minute=1)

    assert limited.admits(user_id="ada")
    refusal = limited.refuses(user_id="bob")
    assert (refusal.code, refusal.field) == ("rate_limited", "model")
    assert "the model's limit of 1 requests a minute" in refusal.message
    assert limited.admits(user_id="ada", model="gpt-5")


def test_what_was_held_for_a_day_is_given_back_when_a_call_used_less() -> None:
    limited = of_model(tokens_per_day=1_500)
    asked: dict[str, Any] = {"prompt": prompt(max_tokens=990)}
    limited.take(accepted("r-1", **asked))
    assert not limited.admits(**asked)

    limited.take(priced(tokens=100))

    assert limited.admits(**asked)


def test_model_meters_are_told_and_read_back() -> None:
    limited = of_model(tokens_per_day=1_500)
    (registered,) = table_records(ACCOUNTS, limited.take(accepted("r-1")))
    again = Accounts()
    again.apply(registered, NOW_MS)

    assert again.model_meters("acme", "gpt-5-mini") == limited.state.model_meters("acme", "gpt-5-mini") is not None
    assert again.registered("acme", "r-1") == limited.state.registered("acme", "r-1")

"""What counts for and against a deployment, and how latency is summed up without keeping every call."""

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.usage import Cost
from streams.verdicts import Verdict
from streams.watch.health import Bucket, Tally, health_of, verdict_on
from streams.watch.sightings import call_seen, unpriced_seen
from tests.fakes.call_rows import call_row


def test_a_429_is_no_failure_but_a_reason_to_ask_less() -> None:
    assert verdict_on(call_row(phase="settled", error_class="rate_limited")) == "limited"


@pytest.mark.parametrize(
    "error", ["overloaded", "server_error", "timeout", "connection", "cut_stream", "malformed_response"]
)
def test_a_fault_of_the_provider_is_a_failure(error: str) -> None:
    assert verdict_on(call_row(phase="settled", error_class=error)) == "failed"


@pytest.mark.parametrize("error", [None, "bad_request", "content_filtered"])
def test_a_provider_that_answers_is_healthy_whatever_it_answers(error: str | None) -> None:
    assert verdict_on(call_row(phase="settled", error_class=error)) == "answered"


@pytest.mark.parametrize("error", ["authentication", "permission", "not_found", "interrupted", "deadline_exceeded"])
def test_our_own_faults_and_expiry_say_nothing_about_the_provider(error: str) -> None:
    assert verdict_on(call_row(phase="settled", error_class=error)) is None


@pytest.mark.parametrize("error", ["timeout", "connection"])
def test_a_call_that_had_less_time_than_its_route_allows_says_nothing_about_the_provider(error: str) -> None:
    assert verdict_on(call_row(phase="settled", error_class=error, hurried=True)) is None


def test_a_cache_hit_says_nothing_although_it_names_the_deployment_that_once_answered() -> None:
    assert verdict_on(call_row(attempt_no=0, started_at_ms=None)) is None


def test_a_call_that_has_only_started_says_nothing_yet() -> None:
    assert verdict_on(call_row(phase="started")) is None


def test_a_sighting_carries_what_the_breaker_needs() -> None:
    row = call_row(phase="settled", error_class="timeout")

    seen = call_seen(row)

    assert seen is not None
    assert (seen.verdict, seen.started_at_ms, seen.provider_ms) == ("failed", row.started_at_ms, 1_000)


def test_only_a_priced_row_can_say_that_a_model_has_no_price() -> None:
    unpriced = Cost(status="unpriced")

    assert unpriced_seen(call_row(phase="settled", cost=unpriced)) is None
    assert unpriced_seen(call_row()) is None
    seen = unpriced_seen(call_row(cost=unpriced))
    assert seen is not None
    assert seen.subject == "gpt-5-mini"


VERDICTS: st.SearchStrategy[Verdict] = st.sampled_from(("answered", "failed"))


def counted(*calls: tuple[Verdict, int | None]) -> Bucket:
    tally = Tally(Bucket())
    for verdict, latency in calls:
        tally.count(verdict, latency)
    return tally.bucket


def test_buckets_add_up() -> None:
    first = counted(("failed", 100), ("answered", 100))
    second = counted(("answered", None))

    health = health_of((first, second))

    assert (health.calls, health.failures) == (3, 1)
    assert health.failure_share == pytest.approx(1 / 3)


def test_no_calls_are_no_failures() -> None:
    health = health_of(())

    assert (health.calls, health.failure_share, health.p95_ms) == (0, 0.0, 0)


@given(st.lists(st.integers(0, 600_000), min_size=1, max_size=200))
def test_the_95th_percentile_is_never_below_the_true_one_and_at_most_a_tenth_above(latencies: list[int]) -> None:
    answered: list[tuple[Verdict, int | None]] = [("answered", latency) for latency in latencies]
    bucket = counted(*answered)
    true = sorted(latencies)[ceil(len(latencies) * 0.95) - 1]

    assert max(true, 1) <= health_of((bucket,)).p95_ms <= max(true * 1.1, 1)


@given(st.lists(st.tuples(VERDICTS, st.none() | st.integers(0, 600_000)), max_size=50))
def test_a_bucket_survives_the_table_it_is_kept_in(calls: list[tuple[Verdict, int | None]]) -> None:
    bucket = counted(*calls)

    assert Bucket.decode(bucket.encode()) == bucket

"""A day of request ids and meters, by the events' own time, and no more than that."""

import pytest

from schemas.account import Meter, Registration
from streams.accounts import REMEMBERED_MS, Accounts, MeterKey
from tests.unit.examples import NOW_MS, accepted

HOUR_MS = 3_600_000


def registration(request_id: str = "r-1", *, tenant_id: str = "acme", seen_at_ms: int = NOW_MS) -> Registration:
    return Registration(
        tenant_id=tenant_id, user_id=None, request_id=request_id, offset=7, digest="content", seen_at_ms=seen_at_ms
    )


def key(user_id: str | None = None) -> MeterKey:
    return MeterKey("acme", user_id, "requests")


def meter(user_id: str | None = None, *, arrival_ms: int = NOW_MS) -> Meter:
    return key(user_id).meter(arrival_ms * 1000)


def accounts(*records: Meter | Registration, now_ms: int = NOW_MS) -> Accounts:
    made = Accounts()
    for record in records:
        assert made.apply(record, now_ms) == ()
    return made


def test_a_meter_stands_where_its_last_record_left_it() -> None:
    state = accounts(meter(arrival_ms=NOW_MS), meter(arrival_ms=NOW_MS + 5))

    assert state.arrival_us(key()) == (NOW_MS + 5) * 1000


def test_the_tenants_meter_and_each_users_and_each_units_are_apart() -> None:
    state = accounts(meter(), meter("ada", arrival_ms=NOW_MS + 1))

    assert state.arrival_us(key()) == NOW_MS * 1000
    assert state.arrival_us(key("ada")) == (NOW_MS + 1) * 1000
    assert state.arrival_us(key("bob")) is None
    assert state.arrival_us(MeterKey("acme", None, "tokens")) is None
    assert state.arrival_us(MeterKey("globex", None, "requests")) is None


def test_the_same_id_of_two_tenants_is_two_ids() -> None:
    state = accounts(registration(tenant_id="globex"))

    assert state.registration("acme", "r-1") is None
    assert state.registration("globex", "r-1") == registration(tenant_id="globex")


def test_an_id_is_recognised_for_a_day_and_then_forgotten() -> None:
    first = registration("first")

    day_later = accounts(first, registration("second", seen_at_ms=NOW_MS + REMEMBERED_MS), now_ms=NOW_MS * 2)
    after_that = accounts(first, registration("second", seen_at_ms=NOW_MS + REMEMBERED_MS + 1), now_ms=NOW_MS * 2)

    assert day_later.registration("acme", "first") == first
    assert after_that.registration("acme", "first") is None


def test_a_backlog_of_days_is_read_with_the_memory_it_would_have_had_on_its_day() -> None:
    """A stage that was down over a weekend took every repeated id of its backlog for a new one."""
    long_ago = registration(seen_at_ms=NOW_MS - 3 * REMEMBERED_MS)

    assert accounts(long_ago).registration("acme", "r-1") == long_ago


def test_one_event_from_the_future_does_not_wipe_the_memory() -> None:
    state = accounts(registration("now"), registration("ahead", seen_at_ms=NOW_MS + 10 * REMEMBERED_MS))

    assert state.registration("acme", "now") is not None
    assert state.registration("acme", "ahead") is not None


def test_a_settled_registration_replaces_the_one_before_and_is_forgotten_in_its_time() -> None:
    settled = registration().model_copy(update={"settled_attempts": ("attempt-1",)})
    state = accounts(registration(), registration("r-2"), settled)
    assert state.registration("acme", "r-1") == settled

    state.apply(registration("r-3", seen_at_ms=NOW_MS + 25 * HOUR_MS), NOW_MS + 25 * HOUR_MS)

    assert state.registration("acme", "r-1") is None
    assert state.registration("acme", "r-2") is None


def test_meters_of_users_who_rest_for_a_day_are_let_go() -> None:
    """User ids are the producers' to choose: without an end to them the memory had none either."""
    state = accounts()
    for number in range(100):
        at_ms = NOW_MS + number * HOUR_MS
        state.apply(registration(f"r-{number}", seen_at_ms=at_ms), at_ms)
        state.apply(meter(f"user-{number}", arrival_ms=at_ms), at_ms)

    remembered = [number for number in range(100) if state.arrival_us(key(f"user-{number}")) is not None]

    assert remembered == list(range(75, 100))


def test_a_meter_that_still_moves_is_kept_however_old_it_is() -> None:
    state = accounts(meter(arrival_ms=NOW_MS))
    for hours in range(1, 50):
        at_ms = NOW_MS + hours * HOUR_MS
        state.apply(meter("ada", arrival_ms=at_ms), at_ms)
        state.apply(meter(arrival_ms=at_ms), at_ms)
        state.apply(registration(f"r-{hours}", seen_at_ms=at_ms), at_ms)

    assert state.arrival_us(key()) == (NOW_MS + 49 * HOUR_MS) * 1000


def test_nothing_else_can_be_held() -> None:
    with pytest.raises(TypeError, match="accounts cannot hold Accepted"):
        Accounts().apply(accepted(), NOW_MS)

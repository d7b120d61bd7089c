"""A day of request ids and meters, by the events' own time, and no more than that."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.account import Meter, Registration
from schemas.response import Failure
from streams.state.accounts import REMEMBERED_MS, Accounts
from streams.state.registered import Held, registered
from tests.unit.examples import DIGEST, NOW_MS, accepted, arrival_of

HOUR_MS = 3_600_000


def registration(request_id: str = "r-1", *, tenant_id: str = "acme", seen_at_ms: int = NOW_MS) -> Registration:
    return Registration(
        tenant_id=tenant_id, user_id=None, request_id=request_id, offset=7, digest=DIGEST, seen_at_ms=seen_at_ms
    )


def meter(user_id: str | None = None, *, arrival_ms: int = NOW_MS) -> Meter:
    """As older processes wrote it."""
    return Meter(tenant_id="acme", user_id=user_id, unit="requests", arrival_us=arrival_ms * 1000)


def accounts(*records: Meter | Registration, now_ms: int = NOW_MS) -> Accounts:
    made = Accounts()
    for record in records:
        assert made.apply(record, now_ms) == ()
    return made


def test_a_meter_stands_where_its_last_record_left_it() -> None:
    state = accounts(meter(arrival_ms=NOW_MS), meter(arrival_ms=NOW_MS + 5))

    assert arrival_of(state, "requests") == (NOW_MS + 5) * 1000


def test_the_tenants_meter_and_each_users_and_each_units_are_apart() -> None:
    state = accounts(meter(), meter("ada", arrival_ms=NOW_MS + 1))

    assert arrival_of(state, "requests") == NOW_MS * 1000
    assert arrival_of(state, "requests", "ada") == (NOW_MS + 1) * 1000
    assert arrival_of(state, "requests", "bob") is None
    assert arrival_of(state, "tokens") is None
    assert arrival_of(state, "requests", tenant_id="globex") is None


def test_the_same_id_of_two_tenants_is_two_ids() -> None:
    state = accounts(registration(tenant_id="globex"))

    assert state.registered("acme", "r-1") is None
    assert state.registered("globex", "r-1") == registered(registration(tenant_id="globex"))


def test_an_id_is_recognised_for_a_day_and_then_forgotten() -> None:
    first = registration("first")

    day_later = accounts(first, registration("second", seen_at_ms=NOW_MS + REMEMBERED_MS), now_ms=NOW_MS * 2)
    after_that = accounts(first, registration("second", seen_at_ms=NOW_MS + REMEMBERED_MS + 1), now_ms=NOW_MS * 2)

    assert day_later.registered("acme", "first") == registered(first)
    assert after_that.registered("acme", "first") is None


def test_a_backlog_of_days_is_read_with_the_memory_it_would_have_had_on_its_day() -> None:
    """A stage that was down over a weekend took every repeated id of its backlog for a new one."""
    long_ago = registration(seen_at_ms=NOW_MS - 3 * REMEMBERED_MS)

    assert accounts(long_ago).registered("acme", "r-1") == registered(long_ago)


def test_one_event_from_the_future_does_not_wipe_the_memory() -> None:
    state = accounts(registration("now"), registration("ahead", seen_at_ms=NOW_MS + 10 * REMEMBERED_MS))

    assert state.registered("acme", "now") is not None
    assert state.registered("acme", "ahead") is not None


def test_a_settled_registration_replaces_the_one_before_and_is_forgotten_in_its_time() -> None:
    settled = replace(registration(), settled_attempts=("attempt-1",))
    state = accounts(registration(), registration("r-2"), settled)
    assert state.registered("acme", "r-1") == registered(settled)

    state.apply(registration("r-3", seen_at_ms=NOW_MS + 25 * HOUR_MS), NOW_MS + 25 * HOUR_MS)

    assert state.registered("acme", "r-1") is None
    assert state.registered("acme", "r-2") is None


ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@settings(deadline=None)
@given(request_id=ids, user_id=st.none() | ids, attempts=st.lists(st.uuids().map(str), max_size=4), data=st.data())
def test_what_is_remembered_of_an_id_can_be_written_and_read_back_unchanged(
    request_id: str, user_id: str | None, attempts: list[str], data: st.DataObject
) -> None:
    refusal = data.draw(st.none() | st.just(Failure(code="rate_limited", message="later", retry_after_ms=5)))
    held = data.draw(st.tuples(st.integers(0, 10**6), st.integers(0, 2**60), st.integers(0, 2**60)))
    event = replace(
        registration(request_id),
        user_id=user_id,
        refusal=refusal,
        reserved_tokens=held[0],
        tenant_held_until_us=held[1],
        user_held_until_us=held[2],
    )
    known = registered(event)
    for attempt in attempts:
        known = known.settling(attempt)

    again = accounts(Registration.decode(known.record("acme", request_id, None, None).encode())).registered(
        "acme", request_id
    )

    assert again == known
    assert known.refusal == refusal
    assert all(known.has_settled(attempt) for attempt in attempts)
    assert not known.has_settled("0192f1c4-7c00-7a10-8b3e-ffffffffffff")
    assert attempts or known.held == Held(*held)


def test_an_id_takes_some_400_bytes_however_long_it_is() -> None:
    """A day of ids as they are on the wire took five times that, and each of them was as long as its producer liked."""

    def settled(number: int) -> Registration:
        event = registration(f"r-{number}" * 20, seen_at_ms=NOW_MS + number)
        return replace(event, offset=10**6 + number, settled_attempts=(f"{number:036}",))

    state, count = accounts(settled(0)), 3_000
    tracemalloc.start()
    try:
        for number in range(1, count):
            state.apply(settled(number), NOW_MS)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert taken / count <= 450


def test_meters_of_users_who_rest_for_a_day_are_let_go() -> None:
    """User ids are the producers' to choose: without an end to them the memory had none either."""
    state = accounts()
    for number in range(100):
        at_ms = NOW_MS + number * HOUR_MS
        state.apply(registration(f"r-{number}", seen_at_ms=at_ms), at_ms)
        state.apply(meter(f"user-{number}", arrival_ms=at_ms), at_ms)

    remembered = [number for number in range(100) if state.meters("acme", f"user-{number}") is not None]

    assert remembered == list(range(75, 100))


def test_a_meter_that_still_moves_is_kept_however_old_it_is() -> None:
    state = accounts(meter(arrival_ms=NOW_MS))
    for hours in range(1, 50):
        at_ms = NOW_MS + hours * HOUR_MS
        state.apply(meter("ada", arrival_ms=at_ms), at_ms)
        state.apply(meter(arrival_ms=at_ms), at_ms)
        state.apply(registration(f"r-{hours}", seen_at_ms=at_ms), at_ms)

    assert arrival_of(state, "requests") == (NOW_MS + 49 * HOUR_MS) * 1000


def test_nothing_else_can_be_held() -> None:
    with pytest.raises(TypeError, match="accounts cannot hold Accepted"):
        Accounts().apply(accepted(), NOW_MS)

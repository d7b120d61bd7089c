"""What a tenant and its users may ask now, which ids are used up, and what is held until it is settled."""

from typing import Any

import pytest
from msgspec.structs import replace

from schemas.account import Registration
from schemas.control import Limits
from schemas.flow import Admitted, Completion
from schemas.topics import ACCOUNTS, ADMITTED
from schemas.usage import Usage
from streams.control import ControlView, with_object, without_object
from streams.cost.ledger import attempt_row, unattempted_row
from streams.questions import namespace_of
from streams.runtime.outcome import Absorb, DeadLetter, Finish, Forward, Outcome, Park
from streams.stages.limit import decide
from streams.state.accounts import Accounts
from streams.tenancy import CATCH_UP_MS, LOOK_AGAIN_MS
from tests.unit.examples import (
    NOW_MS,
    OTHER_DIGEST,
    PROMPT_CANARY,
    accepted,
    arrival_of,
    attempt,
    completion,
    control,
    delivery,
    failed_attempt,
    finished,
    forwarded,
    limited_tenant,
    on,
    plan,
    prompt,
    table_records,
    tenant,
    ticket,
    view,
)
from tests.unit.limiter import MINUTE_MS, Limiter, for_users, limiter, priced, refused


def test_the_largest_limits_that_can_be_written_are_kept_like_any_other() -> None:
    most = 2**64 - 1
    limits = Limits(**dict.fromkeys(Limits.model_fields, most))

    limited = Limiter(control(tenant(limits=limits, user_limits=limits)))

    assert limited.admits(user_id="mia", input_tokens=900)
    assert limited.admits(user_id="mia", input_tokens=900)


def test_a_request_goes_on_under_its_namespace_with_all_that_the_cache_must_know() -> None:
    event = accepted(user_id="ada", prompt=prompt(temperature=0.5))

    first, *changes = forwarded(Limiter(control()).take(event, at_ms=NOW_MS + 30))

    namespace = namespace_of("acme", event.ticket, prompt(temperature=0.5))
    assert (first.topic, first.key) == (ADMITTED, namespace)
    assert first.event == Admitted(
        ticket=event.ticket.stamped("limit", NOW_MS + 30),
        prompt=event.prompt,
        input_tokens=event.input_tokens,
        namespace=namespace,
        summary=event.summary,
    )
    (registered,) = on(ACCOUNTS, changes, Registration)
    assert (registered.request_id, registered.refusal, registered.reserved_tokens) == ("r-1", None, 0)


def test_an_id_and_all_that_is_charged_for_it_are_one_record_on_its_tenants_partition() -> None:
    limits = Limits(requests_per_minute=9, tokens_per_minute=9_000)
    limited = Limiter(control(limited_tenant(**limits.model_dump(), user_limits=limits)))

    (change,) = [r for r in forwarded(limited.take(accepted(user_id="ada"))) if r.topic is ACCOUNTS]

    assert (change.key, change.partition_by) == ("id/acme/r-1", "acme")
    assert isinstance(change.event, Registration)
    for meters in (change.event.tenant_meters, change.event.user_meters):
        assert meters is not None
        assert None not in (meters.requests_us, meters.tokens_us)


def test_a_record_tells_of_the_meters_that_it_does_not_move_too() -> None:
    limited = limiter(requests_per_minute=9, tokens_per_minute=9_000)
    limited.take(accepted())
    stand = limited.state.meters("acme", None)
    assert stand is not None
    assert None not in (stand.requests_us, stand.tokens_us)
    limited.control = control()

    for event in (accepted("unlimited"), refused("unusable")):
        (registered,) = table_records(ACCOUNTS, limited.take(event))
        assert isinstance(registered, Registration)
        assert registered.tenant_meters == stand

    (settled,) = table_records(ACCOUNTS, limited.take(priced(tokens=5)))
    assert isinstance(settled, Registration)
    assert settled.tenant_meters == stand


@pytest.mark.parametrize("limits", [{"requests_per_minute": 2}, {"requests_per_minute": 60, "burst_requests": 2}])
def test_requests_beyond_the_burst_are_told_when_to_come_back_and_then_fit(limits: dict[str, int]) -> None:
    limited = limiter(**limits)
    assert [limited.admits() for _ in range(3)] == [True, True, False]

    failure = limited.refuses()

    assert (failure.code, failure.field, failure.retryable) == ("rate_limited", "tenant_id", True)
    wait_ms = MINUTE_MS // limits["requests_per_minute"]
    assert failure.retry_after_ms == wait_ms
    assert f"in {wait_ms} ms" in failure.message
    assert not limited.admits(at_ms=NOW_MS + wait_ms - 1)
    assert limited.admits(at_ms=NOW_MS + wait_ms)


def test_one_users_flood_leaves_the_other_users_of_the_tenant_their_share() -> None:
    limited = for_users(requests_per_minute=1)

    assert limited.admits(user_id="ada")
    assert limited.refuses(user_id="ada").field == "user_id"
    assert limited.admits(user_id="bob")
    assert limited.admits()


def test_one_tenants_flood_leaves_the_other_tenants_their_share() -> None:
    limited = Limiter(
        control(limited_tenant("acme", requests_per_minute=1), limited_tenant("globex", requests_per_minute=1))
    )

    assert [limited.admits(tenant_id=name) for name in ("acme", "acme", "globex")] == [True, False, True]


def test_tokens_are_counted_as_asked_for_input_and_the_longest_answer_allowed() -> None:
    limited = limiter(tokens_per_minute=1_000)

    assert limited.admits(input_tokens=400, prompt=prompt(max_tokens=600))
    assert limited.refuses(input_tokens=1, prompt=prompt(max_tokens=1)).retry_after_ms == 120
    assert limited.admits(at_ms=NOW_MS + 120, input_tokens=1, prompt=prompt(max_tokens=1))


def test_a_request_that_can_never_fit_is_told_to_become_smaller_and_not_to_wait() -> None:
    failure = limiter(tokens_per_minute=1_000).refuses(input_tokens=500, prompt=prompt(max_tokens=501))

    assert (failure.code, failure.field, failure.retryable) == ("rate_limited", "messages", False)
    assert failure.retry_after_ms is None
    assert "lower params.max_tokens" in failure.message


@pytest.mark.parametrize(
    ("full", "request_tokens"),
    [("user", 1), ("tokens", 5_000)],
    ids=["the user's is full", "the tokens do not fit"],
)
def test_all_meters_take_a_request_or_none_does(full: str, request_tokens: int) -> None:
    limited = Limiter(
        control(
            limited_tenant(requests_per_minute=10, tokens_per_minute=3_000, user_limits=Limits(requests_per_minute=1))
        )
    )
    if full == "user":
        assert limited.admits(user_id="ada", prompt=prompt(max_tokens=1))
    before = limited.state.meters("acme", None), limited.state.meters("acme", "ada")

    limited.refuses(user_id="ada", prompt=prompt(max_tokens=request_tokens))

    assert (limited.state.meters("acme", None), limited.state.meters("acme", "ada")) == before


def test_of_several_full_meters_the_longest_wait_is_told() -> None:
    limited = Limiter(
        control(limited_tenant(requests_per_minute=60, burst_requests=1, user_limits=Limits(requests_per_minute=1)))
    )
    assert limited.admits(user_id="ada")

    failure = limited.refuses(user_id="ada")

    assert (failure.field, failure.retry_after_ms) == ("user_id", MINUTE_MS)
    assert limited.admits(user_id="ada", at_ms=NOW_MS + MINUTE_MS)


def test_an_event_delivered_again_is_decided_the_same_and_charged_once() -> None:
    limited = limiter(requests_per_minute=1)
    first, second = accepted("first"), accepted("second")
    let_in, kept_out = limited.take(first, offset=5), limited.take(second, offset=6)
    arrival_us = arrival_of(limited.state, "requests")

    later = NOW_MS + MINUTE_MS
    again_in, again_out = (limited.take(event, offset=at, at_ms=later) for event, at in ((first, 5), (second, 6)))

    assert isinstance(let_in, Forward)
    assert isinstance(again_in, Forward)
    assert [record.topic for record in again_in.records] == [ADMITTED]
    assert isinstance(again_out, Finish)
    assert again_out.records == ()
    assert again_out.completion.failure == finished(kept_out).failure
    assert arrival_of(limited.state, "requests") == arrival_us


def test_a_repeated_id_with_the_same_content_is_absorbed_and_costs_nothing() -> None:
    limited = limiter(requests_per_minute=2)
    limited.take(accepted())

    assert isinstance(limited.take(accepted()), Absorb)
    assert limited.admits()


@pytest.mark.parametrize(
    ("left", "code"),
    [
        (without_object(control(), "tenant/acme", 60), "unknown_tenant"),
        (control(tenant(enabled=False)), "unauthenticated"),
    ],
    ids=["removed", "switched off"],
)
def test_what_was_let_in_by_a_tenant_that_is_no_longer_served_is_refused_and_not_let_through_free(
    left: ControlView, code: str
) -> None:
    assert Limiter(left).refuses().code == code


def test_a_request_of_a_tenant_that_is_newer_than_what_was_read_waits_until_that_is_read_and_not_for_ever() -> None:
    state, new = Accounts(), accepted(config_version=61)
    behind = without_object(control(), "tenant/acme", 60)

    held = decide(new, view(state, control=behind))
    given_up = decide(new, replace(view(state, control=behind), parked_ms=NOW_MS - CATCH_UP_MS))

    assert held == Park("acme/r-1", NOW_MS + LOOK_AGAIN_MS)
    failure = finished(given_up).failure
    assert failure is not None
    assert failure.code == "unknown_tenant"
    assert forwarded(decide(new, view(state, control=with_object(behind, tenant(), 61))))


def test_a_repeated_id_with_other_content_is_buried_with_a_reason_that_shows_no_content() -> None:
    limited = Limiter(control())
    limited.take(accepted())

    outcome = limited.take(accepted(digest=OTHER_DIGEST, prompt=prompt(PROMPT_CANARY)))

    assert isinstance(outcome, DeadLetter)
    assert outcome.reason == "request_id_reused"
    assert "send a new id" in outcome.detail
    assert PROMPT_CANARY not in outcome.detail


def test_an_id_refused_by_validation_is_used_up_too() -> None:
    limited = Limiter(control())
    ended = finished(limited.take(refused()))

    assert ended.failure == refused().failure
    assert (ended.status, ended.ticket.stamps["limit"]) == ("rejected", NOW_MS)
    assert isinstance(limited.take(refused()), Absorb)
    assert isinstance(limited.take(accepted(digest=OTHER_DIGEST)), DeadLetter)


def test_a_refusal_delivered_again_is_answered_again_since_the_first_answer_may_be_lost() -> None:
    limited = Limiter(control())
    first = finished(limited.take(refused(), offset=5))

    assert finished(limited.take(refused(), offset=5)) == first


def test_a_deadline_that_was_past_ends_as_expired() -> None:
    assert finished(Limiter(control()).take(refused(code="deadline_exceeded"))).status == "expired"


def test_a_refusal_costs_the_tenant_nothing_of_its_limits() -> None:
    limited = limiter(requests_per_minute=1)

    limited.take(refused())

    assert limited.admits()


def test_the_same_id_of_two_tenants_is_two_requests() -> None:
    limited = Limiter(control(tenant("globex")))

    assert isinstance(limited.take(accepted(tenant_id="acme")), Forward)
    assert isinstance(limited.take(accepted(tenant_id="globex", digest=OTHER_DIGEST)), Forward)


def test_what_was_held_is_given_back_once_the_true_use_is_known() -> None:
    limited = limiter(tokens_per_minute=1_000)
    limited.take(accepted(input_tokens=10, prompt=prompt(max_tokens=990)))
    assert not limited.admits(prompt=prompt(max_tokens=1))

    limited.take(priced(tokens=17))

    assert limited.admits(input_tokens=10, prompt=prompt(max_tokens=973))
    assert not limited.admits(input_tokens=0, prompt=prompt(max_tokens=1))


def test_what_has_gone_by_unused_is_not_given_back_to_be_used_now() -> None:
    """A settled 100 s late let C through beside B: 11 800 tokens within a tenth of a second."""
    limited = limiter(tokens_per_minute=6_000)
    limited.take(accepted("a", input_tokens=0, prompt=prompt(max_tokens=5_900)))
    assert limited.admits(at_ms=NOW_MS + 99_900, input_tokens=0, prompt=prompt(max_tokens=5_900))

    row = attempt_row(ticket("a"), plan(), attempt(), "priced", usage=Usage(uncached_input_tokens=100))
    limited.take(row, at_ms=NOW_MS + 100_000)

    failure = limited.refuses(at_ms=NOW_MS + 100_000, input_tokens=0, prompt=prompt(max_tokens=5_900))
    assert failure.retry_after_ms == 57_900


def test_of_what_was_held_the_part_still_to_come_is_given_back() -> None:
    limited = limiter(tokens_per_minute=1_000)
    limited.take(accepted(input_tokens=0, prompt=prompt(max_tokens=1_000)))

    limited.take(priced(tokens=100), at_ms=NOW_MS + 45_000)

    assert arrival_of(limited.state, "tokens") == (NOW_MS + 45_000) * 1000


def test_a_meter_configured_since_holds_nothing_that_could_be_given_back() -> None:
    limited = limiter(tokens_per_minute=1_000)
    limited.take(accepted(user_id="ada", prompt=prompt(max_tokens=500)))
    limited.control = control(limited_tenant(tokens_per_minute=1_000, user_limits=Limits(tokens_per_minute=600)))
    assert limited.admits(user_id="ada", input_tokens=0, prompt=prompt(max_tokens=60))

    limited.take(priced(tokens=90))

    assert arrival_of(limited.state, "tokens", "ada") == NOW_MS * 1000 + 150 * 100_000


def test_what_was_used_beyond_what_was_held_is_charged() -> None:
    limited = limiter(tokens_per_minute=1_000)
    limited.take(accepted(input_tokens=10, prompt=prompt(max_tokens=90)))

    limited.take(priced(tokens=1_600))

    assert limited.refuses(input_tokens=0, prompt=prompt(max_tokens=100)).retry_after_ms == 700 * MINUTE_MS // 1_000


def test_each_attempt_counts_once_however_often_its_row_comes() -> None:
    limited = limiter(tokens_per_minute=1_000)
    limited.take(accepted(prompt=prompt(max_tokens=100)))
    limited.take(priced(1, tokens=30))
    limited.take(priced(2, tokens=40))
    arrival_us = arrival_of(limited.state, "tokens")
    assert arrival_us == NOW_MS * 1000 + 70 * 60_000

    for number, tokens in ((1, 30), (2, 40), (1, 30)):
        assert isinstance(limited.take(priced(number, tokens=tokens)), Absorb)

    assert arrival_of(limited.state, "tokens") == arrival_us


@pytest.mark.parametrize("phase", ["started", "settled"])
def test_a_request_still_being_tried_keeps_what_is_held_for_it(phase: Any) -> None:
    """A failed first attempt gave back everything, and nothing was held for the second while it ran."""
    limited = limiter(tokens_per_minute=1_000)
    limited.take(accepted(prompt=prompt(max_tokens=900)))
    arrival_us = arrival_of(limited.state, "tokens")

    assert isinstance(limited.take(attempt_row(ticket(), plan(), failed_attempt(), phase)), Absorb)

    assert arrival_of(limited.state, "tokens") == arrival_us


def test_what_a_cut_attempt_is_known_to_have_used_is_charged() -> None:
    limited = limiter(tokens_per_minute=1_000)
    limited.take(accepted(prompt=prompt(max_tokens=100)))
    cut: dict[str, Any] = {"error_class": "cut_stream", "ambiguous": True, "retryable": True, "finish_reason": None}
    limited.take(attempt_row(ticket(), plan(), attempt(**cut), "settled"))

    limited.take(priced(1, tokens=25, **cut))
    limited.take(priced(2, tokens=40))

    assert arrival_of(limited.state, "tokens") == NOW_MS * 1000 + 65 * 60_000


def test_a_request_that_needed_no_call_gives_back_all_that_was_held() -> None:
    limited = limiter(tokens_per_minute=1_000)
    limited.take(accepted(prompt=prompt(max_tokens=900)))

    limited.take(unattempted_row(completion(attempts=(), cache="exact"), NOW_MS))

    assert arrival_of(limited.state, "tokens") == NOW_MS * 1000


def test_rows_of_requests_that_are_not_held_settle_nothing() -> None:
    limited = limiter(tokens_per_minute=1_000)

    assert isinstance(limited.take(priced()), Absorb)
    strangers = unattempted_row(Completion(ticket=ticket(tenant_id=None), status="rejected"), NOW_MS)
    assert isinstance(limited.take(strangers), Absorb)


def test_the_user_is_settled_along_with_the_tenant() -> None:
    limited = Limiter(control(limited_tenant(tokens_per_minute=1_000, user_limits=Limits(tokens_per_minute=600))))
    limited.take(accepted(user_id="ada", prompt=prompt(max_tokens=500)))

    limited.take(priced(tokens=60))

    assert arrival_of(limited.state, "tokens") == NOW_MS * 1000 + 60 * 60_000
    assert arrival_of(limited.state, "tokens", "ada") == NOW_MS * 1000 + 60 * 100_000


def test_the_time_that_counts_is_the_records_own() -> None:
    slow, fast = limiter(requests_per_minute=1), limiter(requests_per_minute=1)
    events = [(accepted(f"r-{number}"), NOW_MS + number * 20_000) for number in range(9)]

    live = [type(slow.take(event, at_ms=at_ms)) for event, at_ms in events]
    replayed: list[type[Outcome]] = []
    for offset, (event, at_ms) in enumerate(events):
        delivered = delivery(offset=offset, timestamp_ms=at_ms)
        outcome = decide(event, view(fast.state, control=fast.control, delivery=delivered, now_ms=NOW_MS + 10**9))
        for change in table_records(ACCOUNTS, outcome):
            fast.state.apply(change, NOW_MS + 10**9)
        replayed.append(type(outcome))

    assert replayed == live
    assert live == [Forward, Finish, Finish] * 3


def test_a_tenant_without_limits_leaves_no_meters_behind() -> None:
    changes = table_records(ACCOUNTS, Limiter(control()).take(accepted(user_id="ada")))

    (registered,) = changes
    assert isinstance(registered, Registration)
    assert (registered.tenant_meters, registered.user_meters) == (None, None)

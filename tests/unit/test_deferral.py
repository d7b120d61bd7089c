"""What is over a limit of a tenant that defers waits in its line, holds nobody else up, and goes on when it fits."""

import pytest

from schemas.control import Limits
from schemas.flow import Completion
from schemas.topics import DEFERRED, MIB, VALIDATED
from streams.cost.ledger import unattempted_row
from streams.deferral import CARRY_MS, MOST_MS
from tests.unit.deferring import MINUTE_MS, ONE_A_MINUTE, CrashError, Stand, asked, failure_of, stand, used
from tests.unit.examples import NOW_MS, control, prompt, tenant, ticket


def test_what_is_over_a_limit_waits_and_leaves_in_order_when_it_fits() -> None:
    mine = asked(stand(limits=ONE_A_MINUTE), "a", "b", "c")
    assert (mine.let_in, mine.ended, mine.waiting) == (["a"], {}, 2)

    mine.wait(MINUTE_MS - 1)
    assert mine.let_in == ["a"]
    mine.wait(1)
    assert mine.let_in == ["a", "b"]
    mine.wait(MINUTE_MS)

    assert (mine.let_in, mine.waiting) == (["a", "b", "c"], 0)


def test_what_could_not_be_read_and_is_given_back_goes_on_in_its_place() -> None:
    mine = asked(stand(limits=ONE_A_MINUTE), "a")
    for name in ("b", "c"):
        mine.ask(name)
    while mine.take(VALIDATED):
        pass
    _, unread = mine.logs[DEFERRED.name][0]
    mine.position[DEFERRED.name] = 1  # b is a dead letter
    mine.take_all()
    mine.wait(2 * MINUTE_MS)
    assert mine.let_in == ["a"]

    mine.logs[DEFERRED.name].append((mine.now_ms, unread))
    mine.wait(2 * MINUTE_MS)
    assert mine.let_in == ["a", "b", "c"]


def test_who_comes_when_there_is_room_again_does_not_overtake_those_that_wait() -> None:
    mine = asked(stand(limits=ONE_A_MINUTE), "a", "b")
    mine.now_ms += MINUTE_MS

    mine.ask("c")
    while mine.take(VALIDATED):
        pass

    mine.wait(2 * MINUTE_MS)
    assert mine.let_in == ["a", "b", "c"]


def test_a_user_over_a_limit_of_users_holds_up_no_other_user() -> None:
    mine = asked(stand(limits=Limits(requests_per_minute=60), user_limits=ONE_A_MINUTE), "a1", "a2", "a3", user_id="a")

    asked(mine, "b1", user_id="b")
    asked(mine, "nobody")

    assert mine.let_in == ["a1", "b1", "nobody"]
    mine.wait(2 * MINUTE_MS)
    assert mine.let_in[3:] == ["a2", "a3"]


def test_a_model_over_its_limit_holds_up_no_other_model() -> None:
    mine = asked(stand(model_limits={"gpt-5-mini": ONE_A_MINUTE}), "a", "b")

    asked(mine, "c", model="gpt-5")

    assert mine.let_in == ["a", "c"]


def test_a_large_request_that_waits_for_tokens_is_not_starved_by_small_ones_of_other_users() -> None:
    mine = asked(
        stand(limits=Limits(tokens_per_minute=1_000)), "fills", input_tokens=0, prompt=prompt(max_tokens=1_000)
    )
    asked(mine, "large", user_id="ada", input_tokens=0, prompt=prompt(max_tokens=1_000))

    for number in range(30):
        mine.wait(2_000)
        asked(mine, f"small-{number}", user_id="bob", input_tokens=0, prompt=prompt(max_tokens=1))

    mine.wait(1_000)
    assert mine.let_in[:2] == ["fills", "large"]


def test_other_tenants_are_not_held_up() -> None:
    mine = Stand(control(tenant(on_limit="defer", limits=ONE_A_MINUTE), tenant("globex", limits=ONE_A_MINUTE)))
    asked(mine, "a", "b")

    asked(mine, "g", tenant_id="globex")

    assert mine.let_in == ["a", "g"]


def test_a_tenant_that_does_not_defer_is_refused_as_ever() -> None:
    mine = asked(Stand(control(tenant(limits=ONE_A_MINUTE))), "a", "b")

    assert (mine.let_in, mine.waiting) == (["a"], 0)
    assert failure_of(mine.ended["b"]).code == "rate_limited"


def test_what_can_never_fit_is_refused_at_once() -> None:
    mine = asked(stand(limits=Limits(tokens_per_minute=100)), "large", prompt=prompt(max_tokens=200))

    assert (failure_of(mine.ended["large"]).retryable, mine.waiting) == (False, 0)


def test_what_can_never_fit_is_refused_at_once_also_where_others_wait() -> None:
    mine = asked(stand(limits=Limits(tokens_per_minute=100)), "a", "b", prompt=prompt(max_tokens=80))

    asked(mine, "large", prompt=prompt(max_tokens=200))

    assert (failure_of(mine.ended["large"]).code, mine.waiting) == ("rate_limited", 1)


def test_with_as_many_waiting_as_may_the_next_is_refused_and_told_when_to_come_back() -> None:
    mine = asked(stand(limits=ONE_A_MINUTE, max_deferred=2), "a", "b", "c", "d")

    failure = failure_of(mine.ended["d"])
    assert (failure.code, failure.retryable, failure.retry_after_ms) == ("rate_limited", True, 3 * MINUTE_MS)
    assert "2 requests of the tenant wait already" in failure.message


def test_with_as_many_bytes_waiting_as_may_the_next_is_refused_until_there_is_room_again() -> None:
    mine = asked(stand(limits=ONE_A_MINUTE, max_deferred_mib=1), "a", "b", "c", "d", prompt=prompt("x" * MIB))

    failure = failure_of(mine.ended["c"])
    assert (failure.code, failure.retryable, failure.retry_after_ms) == ("rate_limited", True, 2 * MINUTE_MS)
    assert "1 MiB of the tenant's requests wait already" in failure.message
    assert (mine.waiting, set(mine.ended)) == (1, {"c", "d"})

    mine.wait(MINUTE_MS)
    asked(mine, "e")
    assert (mine.let_in, mine.waiting) == (["a", "b"], 1)


def test_a_restart_knows_how_many_bytes_wait() -> None:
    mine = asked(stand(limits=ONE_A_MINUTE, max_deferred_mib=1), "a", "b", prompt=prompt("x" * MIB))
    mine.commit()

    mine.start()
    mine.ask("c")
    while mine.take(VALIDATED):
        pass

    assert "1 MiB" in failure_of(mine.ended["c"]).message


@pytest.mark.parametrize(
    ("deadline_ms", "ends_ms", "says"),
    [(NOW_MS + 30_000, 30_000, "deadline_ms passed"), (None, 45_000, "as long as it could wait")],
    ids=["its deadline", "what the tenant allows"],
)
def test_who_waits_expires_at_its_deadline_or_after_the_longest_wait(
    deadline_ms: int | None, ends_ms: int, says: str
) -> None:
    mine = asked(stand(limits=ONE_A_MINUTE, defer_max_s=45), "a")
    asked(mine, "late", deadline_ms=deadline_ms)

    mine.wait(ends_ms - 1)
    assert mine.ended == {}
    mine.wait(1)

    assert mine.ended["late"].status == "expired"
    assert says in failure_of(mine.ended["late"]).message
    assert mine.waiting == 0


def test_who_expires_in_the_middle_of_a_line_lets_the_others_move_up() -> None:
    mine = asked(stand(limits=ONE_A_MINUTE), "a", "b")
    asked(mine, "late", deadline_ms=NOW_MS + 1_000)
    asked(mine, "c")

    mine.wait(2 * MINUTE_MS)

    assert mine.let_in == ["a", "b", "c"]


def test_nobody_waits_for_longer_than_its_id_is_sure_to_be_known() -> None:
    mine = asked(stand(limits=ONE_A_MINUTE), "a", "b", deadline_ms=NOW_MS + 30 * 3_600_000)

    (notice,) = mine.notices
    assert notice.until_ms == NOW_MS + MOST_MS


def test_a_deadline_that_is_past_when_its_turn_to_be_weighed_comes_costs_nothing_of_the_limit() -> None:
    mine = Stand(control(tenant(limits=ONE_A_MINUTE)))
    mine.ask("late", deadline_ms=NOW_MS + 10)
    mine.now_ms += 10
    mine.take_all()
    asked(mine, "next")

    assert mine.ended["late"].status == "expired"
    assert mine.let_in == ["next"]


def test_the_estimate_counts_those_before_it_and_the_notice_of_its_end_says_what_it_was() -> None:
    mine = asked(stand(limits=ONE_A_MINUTE), "a", "b", "c")

    assert [(n.request_id, n.state, n.estimated_wait_ms) for n in mine.notices] == [
        ("b", "deferred", MINUTE_MS),
        ("c", "deferred", 2 * MINUTE_MS),
    ]
    mine.wait(2 * MINUTE_MS)
    assert [(n.request_id, n.state, n.waited_ms) for n in mine.notices[2:]] == [
        ("b", "admitted", MINUTE_MS),
        ("c", "admitted", 2 * MINUTE_MS),
    ]


def test_the_estimate_that_is_told_again_counts_those_before_it_only() -> None:
    tokens = Limits(tokens_per_day=600)
    mine = asked(stand(limits=tokens, user_limits=tokens, defer_max_s=7_200), "a", "b", "c", "d", user_id="ada")
    asked(mine, "e", user_id="bob")
    told = {notice.request_id: notice.estimated_wait_ms for notice in mine.notices}
    assert told["b"] < told["c"] < told["d"] < told["e"]

    mine.wait(CARRY_MS)

    again = {notice.request_id: notice.estimated_wait_ms for notice in mine.notices[4:]}
    assert again == {name: ms - CARRY_MS for name, ms in told.items()}


def test_what_others_did_not_use_lets_those_that_wait_go_on_early() -> None:
    mine = asked(stand(limits=Limits(tokens_per_minute=1_000)), "a", "b", input_tokens=0, prompt=prompt(max_tokens=900))
    assert mine.let_in == ["a"]

    mine.settle(used("a", tokens=10))
    mine.take_all()

    assert mine.let_in == ["a", "b"]


def test_a_restart_knows_who_waits_and_in_which_order() -> None:
    mine = asked(stand(limits=ONE_A_MINUTE), "a", "b", "c", "d")
    mine.wait(MINUTE_MS)
    mine.commit()

    mine.start()
    mine.take_all()
    mine.wait(2 * MINUTE_MS)

    assert mine.let_in == ["a", "b", "c", "d"]


def test_before_what_waits_is_read_again_after_a_restart_nobody_overtakes_it() -> None:
    mine = asked(stand(limits=ONE_A_MINUTE), "a", "b")
    mine.commit()
    mine.start()
    mine.now_ms += MINUTE_MS

    mine.ask("c")
    while mine.take(VALIDATED):
        pass
    assert mine.let_in == ["a"]

    mine.wait(2 * MINUTE_MS)
    assert mine.let_in == ["a", "b", "c"]


@pytest.mark.parametrize("hours", [25, 50])
def test_whose_time_was_over_while_nobody_worked_for_days_holds_nobody_up(hours: int) -> None:
    mine = asked(stand(limits=ONE_A_MINUTE), "a", "b")
    mine.commit()
    mine.now_ms += hours * 3_600_000
    mine.start()

    mine.ask("c")
    while mine.take(VALIDATED):
        pass
    mine.wait(1_000)

    assert mine.ended["b"].status == "expired"
    assert (mine.let_in, mine.waiting) == (["a", "c"], 0)


@pytest.mark.parametrize("written", [0, 1, 2])
def test_a_crash_while_it_comes_to_wait_leaves_it_waiting_once(written: int) -> None:
    mine = asked(stand(limits=ONE_A_MINUTE), "a")
    mine.commit()
    mine.ask("b")
    mine.crash_after = written
    with pytest.raises(CrashError):
        mine.take_all()

    mine.start()
    mine.take_all()
    assert mine.waiting == 1
    mine.wait(MINUTE_MS)

    assert mine.admitted == ["a", "b"]


@pytest.mark.parametrize("written", [0, 1, 2])
def test_a_crash_while_it_goes_on_lets_it_go_on_once(written: int) -> None:
    mine = asked(stand(limits=ONE_A_MINUTE), "a", "b")
    mine.commit()
    mine.crash_after = written
    with pytest.raises(CrashError):
        mine.wait(MINUTE_MS)

    mine.start()
    mine.take_all()
    asked(mine, "c")
    mine.wait(MINUTE_MS - 1)

    assert mine.let_in == ["a", "b"]


def test_who_has_waited_goes_on_again_from_the_record_it_waited_on_only() -> None:
    mine = asked(stand(limits=ONE_A_MINUTE), "a", "b")
    mine.wait(MINUTE_MS)

    mine.start()
    mine.take_all()

    assert mine.admitted == ["a", "b", "a", "b"]


def test_what_has_ended_does_not_go_on_again_when_its_record_is_read_once_more() -> None:
    mine = asked(stand(limits=ONE_A_MINUTE), "a", "b", "c")
    mine.wait(MINUTE_MS)
    mine.settle(used("b", tokens=0))
    mine.take_all()

    mine.start()  # nothing of llm.deferred was committed: c still waits behind b
    mine.position[VALIDATED.name] = len(mine.logs[VALIDATED.name])
    mine.take_all()

    assert mine.admitted == ["a", "b"]


def test_who_waits_for_long_is_written_again_so_that_the_topic_can_be_committed() -> None:
    mine = asked(stand(limits=Limits(tokens_per_day=600), defer_max_s=7_200), "a", "b")
    mine.wait(CARRY_MS)

    mine.commit()

    assert len(mine.logs[DEFERRED.name]) == 2
    assert mine.committed[DEFERRED.name] == 1
    assert (mine.waiting, mine.let_in) == (1, ["a"])
    assert [notice.state for notice in mine.notices] == ["deferred", "deferred"]


def test_who_could_not_be_handled_while_it_waited_leaves_its_line() -> None:
    mine = asked(stand(limits=ONE_A_MINUTE), "a", "b", "c")
    mine.settle(unattempted_row(Completion(ticket=ticket("b"), status="failed"), NOW_MS))
    mine.take_all()

    assert mine.waiting == 1
    mine.wait(MINUTE_MS)
    assert mine.let_in == ["a", "c"]


def test_the_same_id_again_waits_no_second_time() -> None:
    mine = asked(stand(limits=ONE_A_MINUTE), "a", "b", "b")

    assert mine.waiting == 1
    mine.wait(3 * MINUTE_MS)
    assert mine.admitted == ["a", "b"]

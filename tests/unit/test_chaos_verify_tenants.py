"""That the verifier sees order broken, limits exceeded, tenants mixed, marks where none may be, and requests lost."""

from dataclasses import replace
from decimal import Decimal

import pytest

from scripts.chaos.load.canaries import owners
from scripts.chaos.verify.apart import Apart
from scripts.chaos.verify.attempts import Attempts
from scripts.chaos.verify.facts import Accounted, Cached, Configured, Seen
from scripts.chaos.verify.kept import Kept
from scripts.chaos.verify.limits import Limits
from scripts.chaos.verify.order import Order
from scripts.chaos.verify.secrets import Secrets
from scripts.chaos.verify.snapshot import Acknowledged, Leak, Snapshot
from scripts.chaos.verify.spending import Spending
from tests.unit.chaos_history import (
    NOW_MS,
    admitted,
    broken,
    called,
    completed,
    fold,
    place,
    requested,
    responded,
    row,
    seen,
    snapshot,
    sound,
    validated,
)


def order(*records: Seen) -> dict[str, list[str]]:
    invariant = Order()
    fold(invariant, records)
    return broken(invariant)


def test_what_passes_first_after_a_later_one_is_out_of_order() -> None:
    assert order(validated(0, origin=1), validated(1, origin=0)) == {
        "order of validation": ["llm.validated/0/1 has 0 of ('llm.requests', 0, 'north') after 1"]
    }
    assert "order of admission" in order(admitted(0, of=1), admitted(1, of=0))
    assert "order of asking" in order(requested(1), replace(requested(0), place=place("requests", 2)))


def test_a_redelivery_repeats_and_breaks_no_order() -> None:
    assert order(*(validated(at, origin=origin) for at, origin in enumerate((1, 2, 3, 2, 3, 4)))) == {}


def test_order_is_kept_per_key_only() -> None:
    assert order(admitted(0, of=1, namespace="one"), admitted(1, of=0, namespace="two")) == {}


def admissions(*times_ms: int, limit: tuple[int, int] = (60, 2), settled_to: int | None = None) -> list[str]:
    """Of a tenant that may ask `limit`: so many a minute, so many at once."""
    invariant = Limits()
    control = seen("control", 0, Configured("north", limit, None))
    asked = [validated(at, origin=at, request_id=f"r-{at}", at_ms=NOW_MS + ms) for at, ms in enumerate(times_ms)]
    passed = [admitted(at, of=at, request_id=f"r-{at}") for at in range(len(times_ms))]
    offset = len(times_ms) if settled_to is None else settled_to
    fold(invariant, [control, *passed, *asked], snapshot(committed={("limit", "llm.validated", 0): offset}))
    return broken(invariant).get("limits hold", [])


def test_a_burst_and_then_the_rate_are_within_the_limit() -> None:
    assert admissions(0, 0, 1_000, 2_000, 3_000) == []


def test_one_more_than_the_burst_is_found() -> None:
    (example,) = admissions(0, 0, 999)
    assert example.startswith("llm.validated/0/2 of north was admitted although 60 a minute and 2 at once were used up")


def test_admissions_are_weighed_in_order_once_all_before_them_are_decided() -> None:
    assert admissions(0, 0, 0, settled_to=2) == []


def test_limits_of_a_user_are_weighed_too() -> None:
    invariant = Limits()
    control = seen("control", 0, Configured("north", None, (60, 1)))
    records: list[Seen] = [control]
    for at, user in enumerate(("one", "two", "one")):
        fact = replace(validated().fact, user_id=user)
        records += [replace(validated(at, origin=at), fact=fact), admitted(at, of=at)]
    fold(invariant, records, snapshot(committed={("limit", "llm.validated", 0): 3}))
    assert "llm.validated/0/2 of north/one was admitted" in broken(invariant)["limits hold"][0]


def spent(account_usd: str, *rows: Seen) -> list[str]:
    invariant = Spending()
    account = seen("budgets", 0, Accounted("north", "north-month", "", "2026-11", Decimal(account_usd)))
    fold(invariant, [*rows, account], snapshot())
    return broken(invariant).get("spending is counted once", [])


def test_an_account_that_counted_each_attempt_once_is_sound() -> None:
    again = called(1, "priced", cost=Decimal(2))
    rows = [called(0, "priced", cost=Decimal(2)), again, called(2, "settled", cost=Decimal(9))]
    assert spent("2", *rows) == []


def test_an_account_that_counted_an_attempt_twice_or_not_at_all_is_found() -> None:
    row = called(0, "priced", cost=Decimal(2))
    assert spent("4", row) == ["north-month has counted 4 USD of north, its rows say 2"]
    assert spent("0", row) == ["north-month has counted 0 USD of north, its rows say 2"]


def apart(*records: Seen) -> dict[str, list[str]]:
    attempts = Attempts()
    invariant = Apart(attempts)
    fold(invariant, records, attempts=attempts)
    return broken(invariant)


def test_a_mark_of_another_tenant_in_a_response_is_found() -> None:
    assert apart(*sound()) == {}
    assert "answers stay apart" in apart(responded(owners=("north", "south")))
    assert "answers stay apart" in apart(responded(tenant=None, owners=("north",)))


def test_tenants_that_share_a_namespace_are_found() -> None:
    assert "cache stays apart" in apart(admitted(0), admitted(1, tenant="south"))


def test_an_answer_given_again_must_be_the_tenants_own() -> None:
    assert apart(completed(0), completed(1, saved="r-1")) == {}
    assert "who never asked" in apart(completed(0), completed(1, saved="south-1"))["cache stays apart"][0]


@pytest.mark.parametrize(
    "strange",
    [
        Cached("fill", "n", "e", "south-1", frozenset()),
        Cached("fill", "n", "e", "r-1", frozenset({"south"})),
        Cached("flight_started", "n", "e", "south/r-1", frozenset()),
    ],
)
def test_what_another_tenant_leaves_in_a_tenants_cache_is_found(strange: Cached) -> None:
    assert "cache stays apart" in apart(*sound(), seen("cache", 0, strange))
    assert apart(*sound(), seen("cache", 0, Cached("fill", "n", "e", "r-1", frozenset({"north"})))) == {}


def test_marks_say_whose_they_are_and_shared_ones_are_nobodys() -> None:
    assert owners("a CANARY-ANSWER-north-3 and CANARY-PROMPT-shared-4") == {"north"}


def secrets(records: list[Seen], *snapshots: Snapshot) -> dict[str, list[str]]:
    invariant = Secrets()
    fold(invariant, records, *snapshots)
    return broken(invariant)


def test_a_mark_anywhere_that_operators_look_is_found() -> None:
    assert secrets(sound(), snapshot(rows=[row()])) == {}
    assert secrets([replace(sound()[5], leaks=("CANARY-PROMPT",))]) == {
        "nothing leaks": ["CANARY-PROMPT in what is shown of llm.calls/0/0"]
    }
    assert secrets([], replace(snapshot(), leaks=(Leak("invoke-1.log near byte 0", "CANARY-KEY"),)))
    assert secrets([], snapshot(rows=[replace(row(), leaks=("CANARY-KEY",))]))
    quoting = replace(responded().fact, is_prompt_in_error=True)
    assert secrets([replace(responded(), fact=quoting)])


def kept(*lines: Acknowledged) -> dict[str, list[str]]:
    invariant = Kept()
    fold(invariant, [requested()], replace(snapshot(), acknowledged=lines))
    return broken(invariant)


def test_an_acknowledged_request_that_is_not_there_or_another_is_found() -> None:
    assert kept(Acknowledged(0, place("requests", 0), "north", "r-1", "plain")) == {}
    elsewhere = Acknowledged(0, place("requests", 1), "north", "r-1", "plain")
    assert "is not there" in kept(elsewhere)["requests are kept"][0]
    other = Acknowledged(0, place("requests", 0), "north", "r-2", "plain")
    assert "holds r-1 instead" in kept(other)["requests are kept"][0]


def test_an_acknowledged_request_that_can_only_be_read_a_little_later_was_kept() -> None:
    invariant = Kept()
    invariant.look(replace(snapshot(), acknowledged=(Acknowledged(0, place("requests", 0), "north", "r-1", "plain"),)))
    invariant.take(requested())
    invariant.look(snapshot())
    invariant.end(snapshot())
    assert broken(invariant) == {}


def test_what_was_acknowledged_without_a_place_is_found_by_its_number() -> None:
    assert kept(Acknowledged(0, None, "north", "r-1", "plain")) == {}
    assert "is nowhere" in kept(Acknowledged(1, None, "north", "r-1", "plain"))["requests are kept"][0]
    assert "holds r-1 instead" in kept(Acknowledged(0, None, "north", "r-2", "plain"))["requests are kept"][0]

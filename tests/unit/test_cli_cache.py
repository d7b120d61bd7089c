"""Which answers an operator's word concerns, and which are put back: decided without a broker."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from schemas.cached import Fill, FlightStarted, Invalidated
from scripts.cli.cache import concerned, is_asked, lacking
from streams.state.kept_answers import KeptAnswers
from tests.unit.examples import NOW_MS
from tests.unit.test_taken_back import HOUR_MS, invalidated, kept


def holding(*records: Fill | Invalidated) -> KeptAnswers:
    state = KeptAnswers()
    for record in records:
        state.apply(record, NOW_MS)
    return state


def put_back(state: KeptAnswers, *fills: Fill, at_ms: int = NOW_MS) -> list[str]:
    """As the log has them: oldest first."""
    given = [replace(fill, again=True) for fill in sorted(fills, key=lambda each: each.stored_at_ms)]
    return [fill.entry for fill, is_new in lacking({0: state}, given, lambda _: 0, at_ms) if is_new]


def test_what_is_good_and_meant_is_counted_in_whatever_partition_it_is() -> None:
    partitions = {0: holding(kept("acme/faq:f", "r-1"), kept("acme/f", "r-2")), 3: holding(kept("acme/faq:g", "r-3"))}

    found = concerned(partitions, invalidated(namespace="faq"), NOW_MS)

    assert {fill.saved.request_id for fill in found} == {"r-1", "r-3"}
    assert concerned(partitions, invalidated(namespace="faq"), NOW_MS + 2 * HOUR_MS) == []


def test_only_what_is_not_there_is_put_back_oldest_first() -> None:
    there, newer, older = kept(request_id="r-1"), kept(request_id="r-2"), kept(request_id="r-3", stored_at_ms=NOW_MS)

    assert put_back(holding(there), there, newer, older) == [older.entry, newer.entry]


def test_what_was_taken_back_or_has_expired_is_not_put_back() -> None:
    old, fresh = kept(request_id="r-1"), kept(request_id="r-2", asked_at_ms=NOW_MS + 10)

    assert put_back(holding(invalidated(before_ms=NOW_MS)), old, fresh) == [fresh.entry]
    assert put_back(holding(), old, at_ms=NOW_MS + 2 * HOUR_MS) == []


def test_what_is_put_back_is_there_in_a_partition_that_held_nothing() -> None:
    fill = replace(kept(), saved=replace(kept().saved, cost_usd=Decimal("0.5")), again=True)

    assert list(lacking({}, [fill], lambda _: 2, NOW_MS)) == [(fill, True)]


def test_of_several_answers_to_one_question_the_newest_stays_and_one_is_counted() -> None:
    older, newer = kept(stored_at_ms=NOW_MS), kept(stored_at_ms=NOW_MS + 5)
    given = [replace(fill, again=True) for fill in (older, newer)]

    assert list(lacking({}, given, lambda _: 0, NOW_MS + 9)) == [(given[0], True), (given[1], False)]
    assert list(lacking({0: holding(newer)}, given, lambda _: 0, NOW_MS + 9)) == []


def test_answers_are_put_back_while_the_log_is_still_read() -> None:
    read: list[str] = []

    def log() -> Iterator[Fill]:
        for number in range(3):
            read.append(f"r-{number}")
            yield replace(kept(request_id=f"r-{number}"), again=True)

    first, _ = next(lacking({}, log(), lambda _: 0, NOW_MS))

    assert (first.saved.request_id, read) == ("r-0", ["r-0"])


def test_a_question_on_its_way_is_known_by_its_tenant_its_namespace_and_its_id() -> None:
    state = holding()
    entry = "acme/faq:f/1"
    gives_up_at_ms = NOW_MS + HOUR_MS
    flight = FlightStarted(
        namespace="acme/faq:f", entry=entry, identity="acme/r-1", started_at_ms=NOW_MS, gives_up_at_ms=gives_up_at_ms
    )
    state.apply(flight, NOW_MS)

    def asked(at_ms: int = NOW_MS, **words: Any) -> bool:
        return is_asked({0: state}, invalidated(**words), at_ms)

    assert asked()
    assert asked(namespace="faq")
    assert asked(response="r-1")
    assert not asked(namespace="faqs")
    assert not asked(response="r-2")
    assert not asked(at_ms=gives_up_at_ms)

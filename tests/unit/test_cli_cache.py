"""Which answers an operator's word concerns, and which are put back: decided without a broker."""

from decimal import Decimal

from msgspec.structs import replace

from schemas.cached import Fill, Invalidated
from scripts.cli.cache import concerned, lacking
from streams.state.kept_answers import KeptAnswers
from tests.unit.examples import NOW_MS
from tests.unit.test_taken_back import HOUR_MS, invalidated, kept


def holding(*records: Fill | Invalidated) -> KeptAnswers:
    state = KeptAnswers()
    for record in records:
        state.apply(record, NOW_MS)
    return state


def put_back(state: KeptAnswers, *fills: Fill, at_ms: int = NOW_MS) -> list[str]:
    chosen = {fill.entry: replace(fill, again=True) for fill in fills}
    return [fill.entry for fill in lacking({0: state}, chosen, lambda _: 0, at_ms)]


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

    assert lacking({}, {fill.entry: fill}, lambda _: 2, NOW_MS) == [fill]

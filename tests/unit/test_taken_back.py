"""What an operator takes back is not given again, whenever it was stored, by whomever; and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.cached import CacheRecord, Fill, Invalidated
from schemas.control import LONGEST_CACHE_TTL_S, LONGEST_STALE_TTL_S
from schemas.flow import Saved
from schemas.topics import CACHE, COMPLETIONS, DISPATCH
from schemas.usage import Usage
from streams.runtime.outcome import Park
from streams.stages.cache import window_ms
from streams.state.kept_answers import KeptAnswers
from streams.state.taken_back import KNOWN_FOR_MS, TakenBack
from tests.unit.caching import Cache, end_of, fill_for, hit, led
from tests.unit.examples import NOW_MS, admitted, answer, control, tenant

HOUR_MS = 3_600_000


def kept(
    name: str = "acme/faq:f", request_id: str = "r-1", *, asked_at_ms: int = NOW_MS, stored_at_ms: int = NOW_MS + 900
) -> Fill:
    return Fill(
        namespace=name,
        entry=f"{name}/{request_id}",
        answer=answer(),
        saved=Saved(request_id=request_id, usage=Usage(), cost_usd=None),
        stored_at_ms=stored_at_ms,
        expires_at_ms=stored_at_ms + HOUR_MS,
        asked_at_ms=asked_at_ms,
    )


def invalidated(
    tenant_id: str = "acme", namespace: str | None = None, response: str | None = None, *, before_ms: int = NOW_MS
) -> Invalidated:
    return Invalidated(tenant_id=tenant_id, namespace=namespace, response=response, before_ms=before_ms)


def left(*records: CacheRecord, now_ms: int = NOW_MS) -> set[str]:
    state = KeptAnswers()
    for record in records:
        state.apply(record, now_ms)
    return {each.entry for each in state.fills()}


FILLS = (
    kept("acme/faq:f", "r-1"),
    kept("acme/faq:f", "r-2"),
    kept("acme/chat:f", "r-3"),
    kept("acme/0a0a", "r-4"),
    kept("acme2/faq:f", "r-1"),
)


@pytest.mark.parametrize(
    ("word", "gone"),
    [
        (invalidated(), {"r-1", "r-2", "r-3", "r-4"}),
        (invalidated(namespace="faq"), {"r-1", "r-2"}),
        (invalidated(namespace="fa"), set[str]()),
        (invalidated(response="r-3"), {"r-3"}),
        (invalidated(namespace="faq", response="r-2"), {"r-2"}),
        (invalidated(namespace="chat", response="r-2"), set[str]()),
        (invalidated("acme2"), set[str]()),
    ],
    ids=["tenant", "namespace", "beginning of a name", "response", "both", "both, elsewhere", "another tenant"],
)
def test_a_tenants_answers_are_taken_back_by_namespace_and_response_and_no_others(
    word: Invalidated, gone: set[str]
) -> None:
    remaining = left(*FILLS, word)

    assert {each.saved.request_id for each in FILLS[:4] if each.entry not in remaining} == gone
    assert (FILLS[4].entry in remaining) == (word.tenant_id != "acme2")


@given(st.permutations([*FILLS, invalidated(namespace="faq"), invalidated(response="r-3")]))
def test_in_whatever_order_they_are_read_the_same_is_left(records: list[CacheRecord]) -> None:
    assert left(*records) == {"acme/0a0a/r-4", "acme2/faq:f/r-1"}


def test_an_answer_that_comes_later_to_what_was_asked_before_is_not_kept_and_to_what_was_asked_after_is() -> None:
    word = invalidated(before_ms=NOW_MS)

    assert left(word, kept(asked_at_ms=NOW_MS, stored_at_ms=NOW_MS + 60_000)) == set()
    assert left(word, kept(asked_at_ms=NOW_MS + 1)) == {"acme/faq:f/r-1"}


def test_an_answer_whose_writer_did_not_say_when_it_was_asked_counts_from_when_it_was_stored() -> None:
    word = invalidated(before_ms=NOW_MS)

    assert left(word, kept(asked_at_ms=0, stored_at_ms=NOW_MS)) == set()
    assert left(word, kept(asked_at_ms=0, stored_at_ms=NOW_MS + 1)) == {"acme/faq:f/r-1"}


def test_an_earlier_word_does_not_undo_a_later_one() -> None:
    assert left(invalidated(before_ms=NOW_MS), invalidated(before_ms=NOW_MS - 50), kept()) == set()


def test_what_is_written_again_after_it_was_taken_back_is_not_kept() -> None:
    assert left(kept(), invalidated(), replace(kept(), again=True)) == set()


def test_who_waits_for_an_answer_that_was_taken_back_meanwhile_leads_and_the_rest_wait_for_it() -> None:
    cache, leader = Cache(), admitted("r-1")
    led(cache.take(leader))
    assert isinstance(cache.take(admitted("r-2"), at_ms=NOW_MS + 5), Park)
    cache.learn(invalidated(before_ms=NOW_MS + 10), at_ms=NOW_MS + 10)
    late = replace(fill_for(leader), asked_at_ms=NOW_MS, stored_at_ms=NOW_MS + 500)
    assert cache.learn(late, at_ms=NOW_MS + 500) == [late.entry]

    led(cache.take(admitted("r-2"), at_ms=NOW_MS + 500, parked_ms=NOW_MS + 5))
    assert isinstance(cache.take(admitted("r-3"), at_ms=NOW_MS + 500, parked_ms=NOW_MS + 5), Park)


def test_a_question_is_asked_anew_once_its_answer_is_taken_back_also_by_a_new_worker() -> None:
    cache, event = Cache(), admitted("r-5")
    cache.learn(fill_for(event))
    cache.learn(invalidated(response="r-0", before_ms=NOW_MS))

    led(cache.replaced().take(event))
    led(cache.take(event))
    cache.learn(end_of(event, "ok"))
    again = replace(fill_for(event), asked_at_ms=NOW_MS + 3, stored_at_ms=NOW_MS + 9)
    cache.learn(again, at_ms=NOW_MS + 9)
    assert hit(cache.take(admitted("r-6"), at_ms=NOW_MS + 10)).cache == "exact"


def test_the_topic_keeps_answers_and_what_was_taken_back_for_as_long_as_an_answer_can_be_given() -> None:
    longest_way_ms = max(DISPATCH["low"].retention_ms, COMPLETIONS.retention_ms)
    longest_life_ms = (LONGEST_CACHE_TTL_S + LONGEST_STALE_TTL_S) * 1000

    assert CACHE.retention_ms > longest_way_ms + longest_life_ms
    assert longest_way_ms + longest_life_ms < KNOWN_FOR_MS
    longest = tenant(cache_ttl_s=LONGEST_CACHE_TTL_S, stale_ttl_s=LONGEST_STALE_TTL_S)
    assert window_ms(control(tenant("globex"), longest)) == longest_way_ms + longest_life_ms


def test_no_more_is_read_back_than_the_longest_that_a_tenant_keeps() -> None:
    assert window_ms(control(tenant(cache_ttl_s=60), tenant("globex", cache_ttl_s=3_600))) == (
        3_600_000 + DISPATCH["low"].retention_ms
    )


def test_what_was_taken_back_is_forgotten_when_no_such_answer_can_be_left() -> None:
    taken_back = TakenBack()
    taken_back.add(invalidated(response="r-1"), NOW_MS)
    taken_back.add(invalidated("globex", before_ms=NOW_MS + KNOWN_FOR_MS), NOW_MS + KNOWN_FOR_MS + 1)

    assert not taken_back.covers(kept())
    assert taken_back.covers(kept("globex/f"))

"""Rows that replace each other phase by phase, say only what is known, and never make a cost of nothing."""

from decimal import Decimal
from typing import get_args

import pytest

from schemas.call import PHASE_VERSION, CallRow, Phase
from schemas.flow import Completion, Saved
from schemas.response import Failure
from schemas.usage import Cost, Usage
from schemas.wire import Origin
from streams.cost.ledger import FREE, UNKNOWN, attempt_row, unattempted_row
from tests.unit.examples import (
    NOW_MS,
    PROMPT_CANARY,
    answer,
    attempt,
    completion,
    failed_attempt,
    plan,
    ticket,
)

ROW_KEY = ("tenant_id", "produced_at_ms", "request_id", "attempt_id")
PAID = Cost(status="priced", output_usd=Decimal("0.01"), total_usd=Decimal("0.01"), list_usd=Decimal("0.01"))
ASKED = ticket(
    user_id="ada",
    session_id="s-1",
    task="search",
    priority="high",
    stream=True,
    labels={"feature": "search", "env": "prod", "prompt_version": "7", "team": "fruit"},
    stamps={"validate": NOW_MS + 1, "limit": NOW_MS + 2, "cache": NOW_MS + 3, "route": NOW_MS + 4},
    trace_parent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    config_version=9,
)


def phases() -> dict[Phase, CallRow]:
    """The three rows of one attempt, as they are written one after the other."""
    started = attempt(started_at_ms=NOW_MS + 90, ended_at_ms=None, usage_raw=None, usage_source="none")
    ended = attempt(first_token_at_ms=NOW_MS + 300)
    used = Usage(uncached_input_tokens=12, text_output_tokens=5)
    return {
        "started": attempt_row(ASKED, plan(), started, "started"),
        "settled": attempt_row(ASKED, plan(), ended, "settled", cost=FREE),
        "priced": attempt_row(
            ASKED, plan(), ended, "priced", cost=PAID, usage=used, request_status="ok", published_at_ms=NOW_MS + 1_200
        ),
    }


def test_the_phases_of_an_attempt_share_the_key_under_which_they_replace_each_other() -> None:
    keys = {tuple(getattr(row, field) for field in ROW_KEY) for row in phases().values()}

    assert len(keys) == 1


def test_a_later_phase_has_a_higher_version() -> None:
    versions = [PHASE_VERSION[phase] for phase in get_args(Phase)]

    assert versions == sorted(set(versions))


def test_a_call_that_was_only_started_may_have_been_billed_and_nobody_knows_how_much() -> None:
    row = phases()["started"]

    assert (row.cost.status, row.cost.total_usd) == ("unknown_billable", None)
    assert (row.is_final, row.request_status, row.completed_at_ms, row.provider_ms) == (False, None, None, None)


def test_who_asked_and_why_is_in_every_row() -> None:
    for row in (*phases().values(), unattempted_row(completion(ticket=ASKED, attempts=()), NOW_MS)):
        assert (row.tenant_id, row.user_id, row.session_id, row.task) == ("acme", "ada", "s-1", "search")
        assert (row.feature, row.env, row.prompt_version) == ("search", "prod", "7")
        assert row.labels == ASKED.labels
        assert (row.model_requested, row.priority, row.stream) == ("gpt-5-mini", "high", True)
        assert (row.trace_parent, row.config_version) == (ASKED.trace_parent, 9)
        assert Origin(topic=row.origin_topic, partition=row.origin_partition, offset=row.origin_offset) == ASKED.origin
        assert (row.admitted_at_ms, row.dispatched_at_ms) == (NOW_MS + 2, NOW_MS + 4)
        assert row.stage_ms == {"validate": 1, "limit": 2, "cache": 3, "route": 4}


def test_a_priced_row_says_what_was_called_how_long_it_took_and_what_it_cost() -> None:
    row = phases()["priced"]

    assert (row.deployment, row.provider, row.model_used, row.route, row.route_reason) == (
        "openai-1",
        "openai",
        "gpt-5-mini",
        "default",
        "default route",
    )
    assert (row.model_sent, row.price_as) == ("gpt-5-mini", "openai")
    assert (row.cost, row.usage_source, row.http_status, row.finish_reason) == (PAID, "provider", 200, "stop")
    assert row.usage_raw == {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
    assert (row.queue_ms, row.provider_ms, row.total_ms) == (100, 1_000, 1_200)
    assert (row.first_token_at_ms, row.is_final, row.request_status) == (NOW_MS + 300, True, "ok")


def test_the_model_that_answered_counts_more_than_the_one_that_was_asked() -> None:
    row = attempt_row(ASKED, plan(), attempt(model_reported="gpt-5-mini-2026-01-01"), "priced")

    assert (row.model_used, row.model_sent) == ("gpt-5-mini-2026-01-01", "gpt-5-mini")


def test_a_cut_answer_is_marked_as_such() -> None:
    assert not attempt_row(ASKED, None, failed_attempt(error_class="cut_stream"), "priced").complete
    assert attempt_row(ASKED, None, failed_attempt(), "priced").complete


def test_a_request_without_a_call_is_free_and_named_after_the_record_it_came_from() -> None:
    row = unattempted_row(completion(ticket=ASKED, attempts=()), NOW_MS + 30)

    assert (row.attempt_id, row.attempt_no, row.phase, row.is_final) == ("llm.requests/0/7", 0, "priced", True)
    assert (row.cost, row.usage, row.started_at_ms) == (FREE, Usage(), None)
    assert (row.published_at_ms, row.total_ms) == (NOW_MS + 30, 30)


def test_a_hit_says_what_it_saved_and_a_refusal_why() -> None:
    saved = Saved(request_id="r-0", usage=Usage(), cost_usd=Decimal("0.02"), similarity=0.97)
    hit = unattempted_row(Completion(ticket=ASKED, status="ok", answer=answer(), cache="exact", saved=saved), NOW_MS)
    failure = Failure(code="rate_limited", message=PROMPT_CANARY, retryable=True)
    refused = unattempted_row(Completion(ticket=ASKED, status="rejected", failure=failure), NOW_MS)

    assert (hit.saved_usd, hit.similarity, hit.cache, hit.model_used) == (
        Decimal("0.02"),
        0.97,
        "exact",
        "gpt-5-mini-2026",
    )
    assert (refused.error_class, refused.retryable, refused.request_status) == ("rate_limited", True, "rejected")


def test_two_strangers_with_one_id_have_rows_of_their_own() -> None:
    offsets = (7, 8)
    rows = [
        unattempted_row(
            Completion(
                ticket=ticket(tenant_id=None, origin=Origin(topic="llm.requests", partition=0, offset=offset)),
                status="rejected",
            ),
            NOW_MS,
        )
        for offset in offsets
    ]

    assert [row.tenant_id for row in rows] == ["", ""]
    assert len({row.attempt_id for row in rows}) == 2


def test_no_words_of_a_failure_are_in_a_row() -> None:
    """They are made by us and name no prompt; but a table that never holds text can never leak it."""
    row = attempt_row(ASKED, plan(), failed_attempt(error_message=PROMPT_CANARY), "priced")

    assert PROMPT_CANARY not in row.encode().decode()


@pytest.mark.parametrize("cost", [FREE, UNKNOWN])
def test_nothing_and_unknown_are_told_apart(cost: Cost) -> None:
    amounts = {
        cost.input_usd,
        cost.cache_read_usd,
        cost.cache_write_usd,
        cost.output_usd,
        cost.total_usd,
        cost.list_usd,
    }

    assert amounts == ({Decimal(0)} if cost is FREE else {None})
    assert Cost.decode(cost.encode()) == cost

"""Two tenants who send the same, word for word and id for id, on the whole pipeline."""

from typing import Any
from uuid import uuid4

import pytest

from schemas.response import Response
from tests.integration.conversation import Conversation

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
TENANTS = {"acme": "acme-demo-key", "globex": "globex-demo-key"}
SHARED: dict[str, Any] = {"user_id": "ann", "session_id": "s-1", "labels": {"feature": "ripeness"}}


def ask_both(talk: Conversation, request_id: str, question: str) -> dict[str | None, Response]:
    for tenant, key in TENANTS.items():
        messages = [{"role": "user", "content": question}]
        talk.ask(request_id, key=key, tenant_id=tenant, messages=messages, **SHARED)
    given = talk.answers(request_id)
    assert sorted(each.tenant_id or "" for each in given) == sorted(TENANTS)
    return {each.tenant_id: each for each in given}


def test_each_is_answered_pays_for_itself_and_is_given_its_own_answer_again(conversation: Conversation) -> None:
    run = uuid4().hex[:8]
    question = f"Is it ripe, {run}?"
    first = ask_both(conversation, f"same-{run}", question)
    assert [each.cache for each in first.values()] == ["none", "none"]
    assert all(each.status == "ok" and each.attempts == 1 and each.cost_usd for each in first.values())
    again = ask_both(conversation, f"again-{run}", question)
    assert [each.cache for each in again.values()] == ["exact", "exact"]
    for tenant, response in again.items():
        assert response.output == first[tenant].output
        assert response.saved_usd == first[tenant].cost_usd

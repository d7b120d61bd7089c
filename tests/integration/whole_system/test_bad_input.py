"""Every kind of bad input ends in an answer that names the field and what to do, or in a dead letter where there is
nobody to answer; and the next request is unaffected.
"""

import base64
import time
from uuid import uuid4

import pytest

from schemas.base import dump_json
from schemas.response import Response
from tests.integration.conversation import Conversation

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def fresh_id(name: str) -> str:
    return f"{name}-{uuid4().hex[:8]}"


def request(request_id: object, **fields: object) -> bytes:
    whole = {"request_id": request_id, "tenant_id": "acme", "model": "fast"}
    return dump_json({**whole, "messages": [{"role": "user", "content": "hello"}], **fields})


def assert_the_next_is_unaffected(talk: Conversation) -> None:
    following = fresh_id("next")
    talk.ask(following)
    assert talk.answer(following).status == "ok"


UNANSWERABLE = {
    "not JSON": b"hello",
    "not UTF-8": b'{"request_id": "\xff\xfe"}',
    "empty": b"",
    "a tombstone": None,
    "JSON without an id": b'{"tenant_id": "acme", "messages": []}',
    "not an object": b"[1, 2, 3]",
    "nested beyond reading": b'{"request_id": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "10 MB without an id": dump_json({"messages": "x" * 10_000_000}),
}


@pytest.mark.parametrize("value", UNANSWERABLE.values(), ids=UNANSWERABLE.keys())
def test_what_has_no_id_is_kept_byte_for_byte_with_the_reason(conversation: Conversation, value: bytes | None) -> None:
    letter = conversation.dead_letter(conversation.send(value))
    headers = dict(letter.headers)
    assert (letter.value or b"") == (value or b"")
    assert headers["millrace-stage"] == b"validate"
    assert headers["millrace-reason"] in (b"no_request_id", b"empty_value")
    assert headers["millrace-detail"]
    assert "authorization" not in headers
    assert_the_next_is_unaffected(conversation)


PNG = base64.b64encode(b"not a picture").decode()
REFUSED: dict[str, tuple[dict[str, object], str, str]] = {
    "an unknown field": ({"mesages": []}, "mesages", "invalid_request"),
    "a wrong role": ({"messages": [{"role": "usr", "content": "x"}]}, "messages.0.role", "invalid_request"),
    "negative max_tokens": ({"params": {"max_tokens": -1}}, "params.max_tokens", "invalid_request"),
    "an unknown model": ({"model": "gpt-99-enormous"}, "model", "unknown_model"),
    "a deadline that is past": ({"deadline_ms": 1_700_000_000_000}, "deadline_ms", "deadline_exceeded"),
    "an image that is not one": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}],
                }
            ]
        },
        "messages.0.content.0.image_url.url",
        "invalid_request",
    ),
    "an image elsewhere": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://10.0.0.1/x"}}]}]},
        "messages.0.content.0.image_url.url",
        "invalid_request",
    ),
    "no messages": ({"messages": []}, "messages", "invalid_request"),
}


@pytest.mark.parametrize(("fields", "field", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_a_bad_request_is_told_its_field_and_what_to_do(
    conversation: Conversation, fields: dict[str, object], field: str, code: str
) -> None:
    request_id = fresh_id("bad")
    conversation.send(request(request_id, **fields))
    response = conversation.answer(request_id)
    assert response.error is not None
    assert (response.error.code, response.error.field) == (code, field)
    assert response.error.message
    assert response.status == ("expired" if code == "deadline_exceeded" else "rejected")
    assert response.tenant_id == "acme"
    assert_the_next_is_unaffected(conversation)


def refusal(talk: Conversation, request_id: str) -> Response:
    response = talk.answer(request_id)
    assert response.status == "rejected"
    assert response.error is not None
    return response


def test_an_id_of_300_characters_is_answered_under_that_id(conversation: Conversation) -> None:
    request_id = fresh_id("x") + "x" * 300
    conversation.send(request(request_id))
    error = refusal(conversation, request_id).error
    assert error is not None
    assert error.field == "request_id"
    assert_the_next_is_unaffected(conversation)


def test_10_megabytes_are_told_the_limit(conversation: Conversation) -> None:
    request_id = fresh_id("large")
    conversation.send(request(request_id, messages=[{"role": "user", "content": "x" * 10_000_000}]))
    error = refusal(conversation, request_id).error
    assert error is not None
    assert error.code == "request_too_large"
    assert "4194304" in error.message
    assert_the_next_is_unaffected(conversation)


def test_json_nested_deeper_than_a_request_can_be_is_refused(conversation: Conversation) -> None:
    request_id = fresh_id("deep")
    deep = b"[" * 500 + b"]" * 500
    conversation.send(request(request_id, messages="deep").replace(b'"deep"', deep))
    assert refusal(conversation, request_id).error is not None
    assert_the_next_is_unaffected(conversation)


@pytest.mark.parametrize("key", [None, "wrong-key", "globex-demo-key"])
def test_without_the_tenants_own_key_nobody_speaks_in_its_name(conversation: Conversation, key: str | None) -> None:
    request_id = fresh_id("stranger")
    conversation.ask(request_id, key=key)
    response = refusal(conversation, request_id)
    assert response.error is not None
    assert (response.error.code, response.error.field) == ("unauthenticated", "authorization")
    assert response.tenant_id is None
    conversation.ask(request_id)  # the real tenant's request under that id is not taken for a repetition
    assert conversation.answer(request_id, status="ok").tenant_id == "acme"


def test_an_unknown_tenant_is_told_so(conversation: Conversation) -> None:
    request_id = fresh_id("nobody")
    conversation.ask(request_id, tenant_id="umbrella")
    error = refusal(conversation, request_id).error
    assert error is not None
    assert (error.code, error.field) == ("unknown_tenant", "tenant_id")


def test_the_same_request_twice_has_one_answer(conversation: Conversation) -> None:
    request_id = fresh_id("twice")
    conversation.ask(request_id)
    conversation.ask(request_id)
    assert [r.status for r in conversation.answers(request_id)] == ["ok"]


def test_an_id_used_again_for_something_else_is_kept_as_a_dead_letter(conversation: Conversation) -> None:
    request_id = fresh_id("reused")
    conversation.ask(request_id)
    assert conversation.answer(request_id).status == "ok"
    conversation.send(request(request_id, messages=[{"role": "user", "content": "something else"}]))
    deadline_s = time.monotonic() + 20
    while time.monotonic() < deadline_s:
        conversation.answers(request_id)
        letters = [dict(letter.headers) for letter in conversation.dead_letters]
        if any(h.get("millrace-reason") == b"request_id_reused" for h in letters):
            break
    else:
        raise AssertionError("no dead letter about the id that was used again")
    assert len(conversation.answers(request_id)) == 1

"""Personal data on its way through a running pipeline: out of the prompt, past the provider, back in the answer."""

import time
from uuid import uuid4

import pytest

from schemas.content import ContentRule, Redaction
from schemas.control import Tenant, control_key
from schemas.flow import Dispatch
from schemas.response import Response
from schemas.topics import CACHE, CALLS, CONTROL, DISPATCH
from scripts.cli.kafka import reach
from scripts.cli.topic_reader import TopicReader
from scripts.local.stack import LocalStack
from tests.integration.conversation import Conversation
from tests.integration.millrace import Scribe

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

WITHIN_S = 20.0


@pytest.fixture(scope="module")
def discreet(stack: LocalStack) -> str:
    """A tenant of its own, which every stage knows of."""
    tenant = Tenant(
        name=f"discreet-{uuid4().hex[:6]}",
        open=True,
        redaction=Redaction(entities=("email", "phone"), of="both", restore=True),
        content_rules=(
            ContentRule(name="no-nile", words=("project nile",), on="prompt"),
            ContentRule(name="no-congo", words=("project congo",), on="answer"),
        ),
    )
    Scribe(stack.kafka).write(CONTROL, tenant.encode(), key=control_key(tenant).encode())
    return tenant.name


@pytest.fixture
def talk(conversation: Conversation, discreet: str) -> Conversation:
    until_s = time.monotonic() + WITHIN_S
    while asked(conversation, discreet, "Is it ripe?").status == "rejected":
        assert time.monotonic() < until_s, "the tenant is not known"
    return conversation


def asked(talk: Conversation, tenant: str, content: str) -> Response:
    request_id = f"discreet-{uuid4().hex[:8]}"
    talk.ask(request_id, tenant_id=tenant, messages=[{"role": "user", "content": content}])
    return talk.answer(request_id)


def content_of(response: Response) -> str | None:
    return None if response.output is None else response.output.content


def test_cache_and_provider_see_placeholders_and_each_requester_its_own_people(
    talk: Conversation, discreet: str, stack: LocalStack
) -> None:
    mark = uuid4().hex[:8]
    ada, bob = (
        asked(talk, discreet, f"[[answer:{mark}, write to {who}@example.org or call (555) 010-9999 now]]")
        for who in ("ada", "bob")
    )

    assert content_of(ada) == f"{mark}, write to ada@example.org or call (555) 010-9999 now"
    assert ada.cache == "none"
    assert bob.cache in {"exact", "coalesced"}  # an answer is on its way to the cache when it is given
    assert content_of(bob) == f"{mark}, write to bob@example.org or call (555) 010-9999 now"
    with TopicReader(reach(stack.kafka.bootstrap_servers), DISPATCH["normal"]) as reader:
        values = (record.value or b"" for record in reader.read(reader.spans()))
        prompts = [bytes(Dispatch.decode(value).prompt) for value in values if mark.encode() in value]
    assert [prompt.count(b"[EMAIL_1]") for prompt in prompts] == [1]
    assert b"example.org" not in prompts[0]
    for topic in (CACHE, CALLS):
        with TopicReader(reach(stack.kafka.bootstrap_servers), topic) as reader:
            records = [record.value or b"" for record in reader.read(reader.spans())]
        assert not any(b"ada@example.org" in value or b"bob@example.org" in value for value in records)


def test_a_forbidden_prompt_is_rejected_and_a_forbidden_answer_held_back(talk: Conversation, discreet: str) -> None:
    refused = asked(talk, discreet, "Tell me about Project Nile")
    held_back = asked(talk, discreet, "[[answer:It is Project Congo]]")

    assert (refused.status, refused.attempts) == ("rejected", 0)
    assert refused.error is not None
    assert (refused.error.code, refused.error.field) == ("content_blocked", "messages")
    assert "'no-nile'" in refused.error.message
    assert (held_back.status, held_back.attempts, content_of(held_back)) == ("failed", 1, None)
    assert held_back.error is not None
    assert held_back.error.code == "content_blocked"
    assert "'no-congo'" in held_back.error.message
    assert held_back.cost_usd

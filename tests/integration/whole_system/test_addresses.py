"""Nobody is called but who the configuration names: not by what a request says, a provider answers or a proxy wants."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from pydantic import SecretStr

from schemas.base import JsonObject, dump_json
from schemas.prompt import Prompt, UserMessage
from streams.providers.protocol import Misconfigured, Provider, Question
from streams.providers.registry import Wiring, build
from tests.fakes.http_server import serving, whole
from tests.integration.conversation import Conversation

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

BOTH = pytest.mark.parametrize("dialect", ["openai", "anthropic"])
COMPLETION = dump_json(
    {
        "model": "m-1",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi."}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
    }
)
QUESTION = Question(
    "acme/r-1/1", "m-1", Prompt(messages=(UserMessage(role="user", content="thyme"),)), stream=False, timeout_ms=10_000
)


class Canary:
    """An address that nobody should call. Who does waits in its queue, and is counted."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def called(self) -> bool:
        try:
            caller, _ = self._socket.accept()
        except BlockingIOError:
            return False
        caller.close()
        return True

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def canary() -> Iterator[Canary]:
    canary = Canary()
    yield canary
    canary.close()


@asynccontextmanager
async def provider(dialect: str, base_url: str) -> AsyncGenerator[Provider]:
    speaks = "openai" if dialect == "openai" else "anthropic"
    provider = build(Wiring(speaks, base_url, SecretStr("sk-canary")))
    try:
        yield provider
    finally:
        await provider.close()


def schema(url: str) -> JsonObject:
    """JSON Schema that refers to somewhere else in every way that there is."""
    return {
        "$schema": url,
        "$id": f"{url}/self",
        "type": "object",
        "properties": {"a": {"$ref": f"{url}/a.json#/definitions/a"}, "b": {"$dynamicRef": f"{url}/b.json"}},
        "allOf": [{"$ref": f"{url}/c.json"}],
    }


def naming(url: str) -> dict[str, dict[str, object]]:
    """Requests with the address in every field that takes a text."""
    tool = {"type": "function", "function": {"name": "look", "description": url, "parameters": schema(url)}}
    call = {"id": url, "type": "function", "function": {"name": url, "arguments": dump_json({"url": url}).decode()}}
    talk = [
        {"role": "system", "content": url, "name": url},
        {"role": "user", "content": [{"type": "text", "text": f"![]({url}/a.png) <img src='{url}'>"}], "name": url},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": url, "tool_call_id": url},
        {"role": "user", "content": f"fetch {url}"},
    ]
    shaped = {"type": "json_schema", "json_schema": {"name": "shape", "description": url, "schema": schema(url)}}
    image = [{"type": "image_url", "image_url": {"url": f"{url}/a.png"}}]
    return {
        "texts": {"messages": talk, "params": {"tools": [tool], "stop": [url]}, "user_id": url, "labels": {"url": url}},
        "shape": {"params": {"response_format": shaped}},
        "model": {"model": url[:128]},
        "task": {"task": url},
        "session": {"session_id": url},
        "image": {"messages": [{"role": "user", "content": image}]},
        "endpoint": {"base_url": url, "callback": url, "webhook_url": url, "metadata": {"url": url}},
    }


def test_no_address_in_a_request_is_called_on_its_way_through_every_stage(
    conversation: Conversation, canary: Canary
) -> None:
    run = uuid4().hex[:8]
    requests = naming(canary.url)
    for name, fields in requests.items():
        header = {"traceparent": canary.url.encode(), "ce_source": canary.url.encode(), "reply-to": canary.url.encode()}
        request = {"tenant_id": "acme", "model": "fast", "messages": [{"role": "user", "content": name}], **fields}
        conversation.send(dump_json({"request_id": f"{name}-{run}", **request}), headers=header)
    conversation.ask(canary.url, cache="off")

    answers = {name: conversation.answer(f"{name}-{run}") for name in requests}
    answers["id"] = conversation.answer(canary.url)

    assert {name for name, answer in answers.items() if answer.status == "ok"} >= {"texts", "shape", "id"}
    assert {answers[name].status for name in ("model", "image", "endpoint")} == {"rejected"}
    assert answers["image"].error is not None
    assert "not fetched" in answers["image"].error.message
    assert not canary.called()


@BOTH
@pytest.mark.asyncio
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_a_provider_that_points_elsewhere_gives_the_key_to_nobody(
    canary: Canary, dialect: str, status: str
) -> None:
    pointing = whole(b"", status, location=f"{canary.url}/v1")
    async with serving(pointing) as server, provider(dialect, server.base_url) as asked:
        with pytest.raises(Misconfigured, match="redirects are not followed"):
            await asked.ask(QUESTION)
    assert not canary.called()


@BOTH
@pytest.mark.asyncio
async def test_a_proxy_of_the_environment_hears_nothing(
    monkeypatch: pytest.MonkeyPatch, canary: Canary, dialect: str
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, canary.url)
        monkeypatch.setenv(name.upper(), canary.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with serving(whole(COMPLETION)) as server, provider(dialect, server.base_url) as asked, asyncio.timeout(20):
        if dialect == "openai":
            await asked.ask(QUESTION)
        else:  # it was asked, and did not speak the protocol
            with pytest.raises(Exception, match="protocol"):
                await asked.ask(QUESTION)
        assert len(server.requests) == 1
    assert not canary.called()

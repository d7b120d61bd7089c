"""Requests that hold strings which can be recognised anywhere, and end in every way there is."""

import base64
from typing import Any
from uuid import uuid4

from scripts.chaos.canaries import Canaries
from tests.integration.conversation import Conversation
from tests.integration.hostile_provider import STATUSES

RUN = uuid4().hex[:10]
KEYS = {name: f"sk-canary-{name}-{RUN}" for name in ("tenant", "wrong", "basic", "header", "cookie", "provider")}
PROMPTS = {
    name: f"canary-{name}-{RUN}"
    for name in ("system", "user", "argument", "parameter", "schema", "stop", "image", "tool", "garbage", "field")
}
ANSWER = f"canary-answer-{RUN}"
SECRETS = Canaries(KEYS)
PAYLOADS = Canaries({**PROMPTS, "answer": ANSWER})
ANSWERS = Canaries({"answer": ANSWER})
ALL = Canaries({**KEYS, **PROMPTS, "answer": ANSWER})

FOREIGN_HEADERS = {"x-api-key": KEYS["header"].encode(), "Cookie": KEYS["cookie"].encode()}
"""Keys where people put them by mistake."""


def _image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def _user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def _png(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


_ARGUMENTS = f'{{"a": "{PROMPTS["argument"]}"}}'
_PARAMETERS = {"type": "object", "properties": {"a": {"type": "string", "description": PROMPTS["parameter"]}}}
WHOLE: dict[str, Any] = {
    "tenant_id": "canary",
    "messages": [
        {"role": "system", "content": PROMPTS["system"]},
        _user({"type": "text", "text": f"{PROMPTS['user']} [[answer:{ANSWER}]]"}),
    ],
    "params": {
        "stop": [PROMPTS["stop"]],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": _PARAMETERS}}],
        "tool_choice": "none",
    },
}
_CALLED = [
    {
        "role": "assistant",
        "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": _ARGUMENTS}}],
    },
    {"role": "tool", "content": PROMPTS["tool"], "tool_call_id": "call_1"},
]
_SCHEMA = {"type": "json_schema", "json_schema": {"name": PROMPTS["schema"], "schema": PROMPTS["schema"]}}

ANSWERED: dict[str, dict[str, Any]] = {
    "whole": {"model": "gpt-4o-mini"},
    "streamed": {"model": "claude-haiku-4-5", "stream": True},
    "with-image": {
        "model": "gpt-4o-mini",
        "messages": [*WHOLE["messages"], _user(_image(_png(b"\x89PNG\r\n\x1a\n" + PROMPTS["image"].encode())))],
    },
    "with-calls": {"model": "gpt-4o-mini", "messages": [*WHOLE["messages"], *_CALLED]},
}
FAILED = {model: {"model": model, "stream": model in ("echo-cut", "echo-event")} for model in STATUSES}
REFUSED: dict[str, dict[str, Any]] = {
    "unknown-model": {"model": "no-such-model"},
    "late": {"deadline_ms": 1_700_000_000_000},
    "wrong-key": {"key": KEYS["wrong"]},
    "basic": {"key": None, "headers": {"authorization": f"Basic {KEYS['basic']}".encode()}},
    "unknown-field": {PROMPTS["field"]: PROMPTS["user"]},
    "wrong-role": {"messages": [{"role": PROMPTS["user"], "content": PROMPTS["system"]}]},
    "wrong-part": {"messages": [_user({"type": PROMPTS["user"], "text": PROMPTS["user"]})]},
    "image-elsewhere": {"messages": [_user(_image(f"http://{PROMPTS['user']}.example/x.png"))]},
    "no-image": {"messages": [_user(_image(_png(PROMPTS["image"].encode())))]},
    "wrong-schema": {"params": {"response_format": _SCHEMA}},
    "wrong-stop": {"params": {"stop": [PROMPTS["stop"]] * 5}},
    "wrong-tool": {"params": {"tools": [{"type": "function", "function": {"name": PROMPTS["tool"] + "!"}}]}},
}


def ask_for_everything(talk: Conversation) -> list[str]:
    """Returns the ids, once every one is answered. The first is asked again under another id, to be a cache hit."""
    ids = [_ask(talk, name, fields) for name, fields in (ANSWERED | FAILED | REFUSED).items()]
    talk.answer(ids[0])
    ids.append(_ask(talk, "hit", ANSWERED["whole"]))
    for request_id in ids:
        talk.answer(request_id)
    return ids


def _ask(talk: Conversation, name: str, changes: dict[str, Any]) -> str:
    request_id = f"{name}-{RUN}"
    fields: dict[str, Any] = {**WHOLE, "key": KEYS["tenant"], "headers": FOREIGN_HEADERS, **changes}
    talk.ask(request_id, **fields)
    return request_id

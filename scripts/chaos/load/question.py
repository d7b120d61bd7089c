"""A good request as JSON: models of both providers, priorities, streams, tools, JSON, sessions, users, deadlines."""

from collections.abc import Mapping
from random import Random
from typing import Any

from scripts.chaos.load import canaries
from scripts.chaos.load.sending import Kind

_MODELS = ("gpt-4o-mini", "gpt-4.1-mini", "gpt-4.1", "claude-haiku-4-5", "claude-sonnet-4-5", "fast", "smart", "auto")
_TASKS = (None, "summarise", "extract", "translate")
_CACHE = ("default", "off", "refresh", "only")
_CACHE_WEIGHTS = (85, 8, 5, 2)
_USERS = 20
_BUSY_SHARE = 0.3
"""Of a tenant's requests come from one user, who so meets a user's limit where there is one."""
_STREAMED_SHARE = 0.2
"""Of the kinds that may be streamed or not."""
_PARAMETER_SHARE = 0.3
_SESSIONS = 50
_TIGHT_MS = (200, 3_000)
_WIDE_MS = (60_000, 180_000)
_TOOL = {
    "type": "function",
    "function": {
        "name": "look_up_weather",
        "description": "The weather of a place.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}


def question(kind: Kind, draw: Random, owner: str, number: int, now_ms: int) -> dict[str, Any]:
    """`owner` is a tenant, or `canaries.SHARED`: then the caller says who asks."""
    model = draw.choice(_MODELS)
    asked: dict[str, Any] = {
        "request_id": f"{owner}-{number}",
        "tenant_id": owner,
        "model": model,
        "messages": [{"role": "user", "content": _text(kind, draw, owner, number)}],
        "priority": draw.choices(("high", "normal", "low"), (25, 55, 20))[0],
        "stream": kind == "streamed" or draw.random() < _STREAMED_SHARE,
        "user_id": "busy" if draw.random() < _BUSY_SHARE else f"user-{draw.randrange(_USERS)}",
        "labels": {"feature": kind, "env": "chaos"},
        "params": _params(kind, draw),
        "cache": "default" if kind.startswith("shared") else draw.choices(_CACHE, _CACHE_WEIGHTS)[0],
    }
    task = draw.choice(_TASKS) if model == "auto" else None
    session = f"session-{draw.randrange(_SESSIONS)}" if kind == "session" else None
    deadline_ms = _deadline_ms(kind, draw, now_ms)
    optional = {"task": task, "session_id": session, "deadline_ms": deadline_ms}
    return asked | {name: value for name, value in optional.items() if value is not None}


def _text(kind: Kind, draw: Random, owner: str, number: int) -> str:
    """Prompts say whose they are, and so do the answers they demand. What is shared is answered alike for all, and
    so at some length, that others may come meanwhile.
    """
    mark, answer = canaries.prompt_mark(owner, number), canaries.answer_mark(owner, number)
    if kind == "tool":
        return f"{mark} [[tool:look_up_weather]] Is it raining?"
    if kind == "json":
        return f'{mark} As JSON. [[answer:{{"said":"{answer}"}}]]'
    words = " ".join(draw.choice(("bread", "thyme", "river", "stone", "mill", "grain")) for _ in range(20))
    length = " and so on" * draw.randrange(30)
    return f"{mark} {words} [[answer:{answer}{length}]]"


def _params(kind: Kind, draw: Random) -> Mapping[str, Any]:
    params: dict[str, Any] = {}
    if draw.random() < _PARAMETER_SHARE:
        params["temperature"] = round(draw.random(), 2)
    if draw.random() < _PARAMETER_SHARE:
        params["max_tokens"] = draw.choice((16, 64, 256))
    if kind == "tool":
        params["tools"] = [_TOOL]
    if kind == "json":
        params["response_format"] = {"type": "json_object"}
    return params


def _deadline_ms(kind: Kind, draw: Random, now_ms: int) -> int | None:
    match kind:
        case "tight_deadline":
            return now_ms + draw.randint(*_TIGHT_MS)
        case "wide_deadline":
            return now_ms + draw.randint(*_WIDE_MS)
        case "late":
            return now_ms - 1_000
        case _:
            return None

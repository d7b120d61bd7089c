"""Many requests out of few: the input again and again under new ids, each time as new questions, with a provider that
fails as providers do.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from schemas.base import dump_json, load_json
from scripts.demo.exchange import Outgoing

FAULTS = ("429=0.02", "500=0.01", "503=0.005", "cut=0.01", "error=0.003", "malformed=0.002", "hang=0.002", "late=0.002")
"""Shares of calls. `cut`, `malformed` and `late` are charged, though nobody got their answer."""

_LIMITS = re.compile(r"^(user_)?limits = .*$", re.MULTILINE)


def repeated(requests: Sequence[Outgoing], count: int) -> list[Outgoing]:
    """`count` of them. The first round is the input itself; what is no request event stays as it is in every round."""
    rounds = range(-(-count // len(requests)))
    return [_again(request, number) for number in rounds for request in requests][:count]


def without_limits(config: Path, into: Path) -> Path:
    """The configuration, written to `into`, with no tenant held to a rate: what is to be seen is the calls."""
    into.write_text(_LIMITS.sub("", config.read_text(encoding="utf-8")), encoding="utf-8")
    return into


def simulator_flags(faults: Sequence[str] = FAULTS) -> tuple[str, ...]:
    return tuple(word for fault in faults for word in ("--fault", fault))


def _again(request: Outgoing, number: int) -> Outgoing:
    content = load_json(request.value) if number and request.request_id is not None else None
    if not isinstance(content, dict):
        return request
    request_id = f"{request.request_id}~{number}"
    messages = content.get("messages")
    if isinstance(messages, list) and messages and isinstance(last := messages[-1], dict):
        # in the text that is asked, or else all but the first round would come from the cache
        asked = cast("dict[str, object]", last).get("content")
        if isinstance(asked, str):
            messages[-1] = {**last, "content": f"{asked} ({number})"}
    return replace(request, request_id=request_id, value=dump_json({**content, "request_id": request_id}))

"""What the provider simulator is asked: both protocols, and its operator's side."""

import asyncio

from starlette.types import Message

from scripts.simulator.app import App
from scripts.simulator.settings import SimulatorSettings
from scripts.simulator.state import State
from tests.fuzz.target import Target, joined, pairs, parts_of

LOOP = asyncio.new_event_loop()
STATE = State(SimulatorSettings(answer_tokens=4))
APP = App(STATE)
_PATHS = (
    b"/v1/chat/completions",
    b"/v1/messages",
    b"/v1/embeddings",
    b"/v1/messages/count_tokens",
    b"/_control/faults",
)
_KEYS = ((b"authorization", b"Bearer sk-fuzz"), (b"x-api-key", b"sk-fuzz"), (b"anthropic-version", b"2023-06-01"))


async def _exchange(path: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> list[Message]:
    """A client that sends its request whole, and leaves when the simulator waits for it to."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path.decode("latin-1"), "query_string": b"", "headers": headers}
    await APP(scope, receive, send)
    return sent


def _ask(data: bytes) -> None:
    path, body, *said = parts_of(data, 2)
    headers = [*_KEYS, *((name.lower(), value) for name, value in pairs(said))]
    try:
        sent = LOOP.run_until_complete(_exchange(path, headers, body))
    finally:
        LOOP.run_until_complete(_exchange(b"/_control/reset", [], b""))
    for message in sent:
        assert message["type"] != "http.response.start" or message["status"] < 600


_CHAT = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}],"max_tokens":9}'
_TOOLS = (
    b'{"model":"gpt-5","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":'
    b'[{"type":"text","text":"[[tool:f]] [[answer:yes]]"},{"type":"image_url","image_url":{"url":"data:x"}}]}],"tools":'
    b'[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":{"type":"array",'
    b'"items":{"$ref":"#/$defs/x"}}},"required":["a"],"$defs":{"x":{"enum":[1,2]}}}}}],"tool_choice":"required"}'
)
_SCHEMA = (
    b'{"model":"gpt-4o","messages":[{"role":"user","content":"json"}],"response_format":{"type":"json_schema",'
    b'"json_schema":{"name":"n","schema":{"type":"object","properties":{"a":{"type":"string","minLength":3,"pattern":'
    b'"^a+$"},"b":{"anyOf":[{"type":"integer","minimum":2},{"type":"null"}]}},"required":["a","b"]}}}}'
)
_FAULTS = b'{"model":"gpt-4o","messages":[{"role":"user","content":"[[fault:cut after=3 times=1 retry_after=2]]"}]}'
_MESSAGES = (
    b'{"model":"claude-haiku-4-5","max_tokens":9,"stream":true,"system":[{"type":"text","text":"be",'
    b'"cache_control":{"type":"ephemeral","ttl":"1h"}}],"messages":[{"role":"user","content":"hi"}],'
    b'"tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"any"},'
    b'"thinking":{"type":"enabled","budget_tokens":1024}}'
)

TARGETS = (
    Target(
        "simulator",
        "requests to the provider simulator, in both protocols, and changes of its plan of faults",
        _ask,
        (
            *(joined(_PATHS[0], body) for body in (_CHAT, _TOOLS, _SCHEMA, _FAULTS)),
            joined(_PATHS[1], _MESSAGES, b"anthropic-beta", b"x"),
            joined(_PATHS[2], b'{"model":"text-embedding-3-small","input":["a",[1,2]],"dimensions":8}'),
            joined(_PATHS[3], _MESSAGES),
            joined(_PATHS[4], b'{"rules":[{"kind":"cut","rate":0.5,"model":"gpt-4o","after_tokens":3}],"model":"x"}'),
        ),
    ),
)

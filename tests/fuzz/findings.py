"""Inputs that once brought a parser down, by target: kept, so that they never do again."""

from collections.abc import Mapping
from types import MappingProxyType

from tests.fuzz.target import golden, joined

_MANY_DIGITS = b"1" * 5_000
_DEEP = b"[" * 900 + b"]" * 900

_ODD_PARTS = (
    b'"tools":[{"type":"function","name":{"a":1},"function":{"name":{"a":1}}}]',
    b'"reasoning_effort":{"a":1},"output_config":{"effort":[1]},"thinking":{"type":"adaptive"}',
    (
        b'"messages":[{"role":"assistant","tool_calls":[{"id":[1]}],"content":[{"type":"tool_use","id":[1]}]},'
        b'{"role":"tool","tool_call_id":[1],"content":"x"}]'
    ),
    b'"tools":[{"name":"f","input_schema":{}}],"tool_choice":{"type":"tool","name":[1],"function":{"name":[1]}}',
)
"""Objects where names belong."""
_ODD_FAULTS = (b"429 retry_after=inf", b"503 retry_after=nan", b"slow delay=inf", b"cut after=nan", b"500 times=nan")
_MANY = b",".join(b'"%x":{"$ref":"#"}' % number for number in range(12))
_ODD_SCHEMAS = (
    b'{"type":"object","properties":{' + _MANY + b"}}",
    b'{"allOf":[' + b",".join([b'{"$ref":"#"}'] * 8) + b"]}",
    b'{"type":"array","minItems":1000,"items":{"$ref":"#"}}',
    b'{"type":"number","minimum":1e308,"multipleOf":1e-300}',
    b'{"type":"integer","maximum":-1.7e308,"multipleOf":-1e307}',
    b'{"type":"integer","minimum":22222222222222222222222222}',
)
"""A few lines that describe more values than there is time for, and numbers that are none."""


def _ask_openai(part: bytes) -> bytes:
    said = b"" if b'"messages"' in part else b'"messages":[{"role":"user","content":"json"}],'
    return joined(b"/v1/chat/completions", b'{"model":"gpt-5",' + said + part + b"}")


def _ask_anthropic(part: bytes) -> bytes:
    said = b"" if b'"messages"' in part else b'"messages":[{"role":"user","content":"x"}],'
    return joined(b"/v1/messages", b'{"model":"claude-haiku-4-5","max_tokens":9,' + said + part + b"}")


def _format(schema: bytes) -> bytes:
    return b'{"type":"json_schema","json_schema":{"name":"n","schema":' + schema + b"}}"


FINDINGS: Mapping[str, tuple[bytes, ...]] = MappingProxyType(
    {
        "tables": tuple(
            record.replace(b'"digest": "9f1c', b'"digest": "9f1cnull') for record in golden("registration")
        ),
        "clickhouse-request": (
            joined(b"GET", b"query=x&client_protocol_version=" + _MANY_DIGITS, b""),
            joined(b"POST", b"", b"", b"authorization", "Basic ZGVmYXVsdDpß".encode("latin-1")),
        ),
        "clickhouse-native": (
            b"\x01\x01\x01d\x0bDecimal(99)" + bytes(8),
            b"\x01\x01\x01d\x0aDecimal(x)" + bytes(8),
            b"\x01\x01\x01f\x0eFixedString(a)12345",
            b"\x01\x01\x01t\x06Int\xff\xffx" + bytes(8),
            b"\x01\x01\x01m\x14Map(String, Map(a,b))" + b"\xff" * 40,
            b"\x01\x01\x01a\xd8\x0d" + b"Array(" * 290 + bytes(8),
            b"\x01\x02\x01a\x13Array(Array(UInt8))" + b"\xff" * 40,
        ),
        "clickhouse-errors": (
            b"Code: " + _MANY_DIGITS + b". DB::Exception: x (SYNTAX_ERROR)",
            *(b"Code: 395. DB::Exception: " + said * 60_000 for said in (b".", b" ", b" (A)")),
        ),
        "audit": (joined(golden("request")[0], (1 << 60).to_bytes(8, "big")), joined(b"{}", b"\xff")),
        "config-file": (
            b"a = " + b"[" * 100_000,
            b"a = " + _MANY_DIGITS,
            b'[[tenant]]\nname = "a"\ncache_ttl_s = 0x' + _MANY_DIGITS,
            b"[[tenant]]\n" + b"a." * 4_000 + b"a = 1",
        ),
        "openai-answer": (
            joined(
                b'{"choices":[{"message":{"content":"Yes."},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,'
                b'"completion_tokens":1,"odd":18446744073709551616}}',
                bytes((200, 0, 255, 0)),
            ),
            joined(
                b'{"choices":[{"message":{"content":"Yes."},"finish_reason":"stop"}],"usage":{"prompt_tokens":'
                b'100000000000000000000000000000000,"completion_tokens":1}}',
                bytes((200, 0, 255, 0)),
            ),
        ),
        "simulator": (
            joined(b"/_control/faults", b'{"rules":[{"kind":"cut","rate":0.5,"after_tokens":36893488147419103232}]}'),
            joined(b"/_control/faults", b'{"rules":[{"kind":"429","rate":1,"retry_after_s":Infinity}]}'),
            *(_ask_openai(b'"messages":[{"role":"user","content":"[[fault:' + said + b']]"}]') for said in _ODD_FAULTS),
            *(_ask_openai(part) for part in _ODD_PARTS),
            *(_ask_anthropic(part) for part in _ODD_PARTS),
            *(_ask_openai(b'"response_format":' + _format(schema)) for schema in _ODD_SCHEMAS),
            joined(
                b"/v1/chat/completions",
                b'{"model":"gpt-4o","messages":[{"role":"user","content":"[[fault:cut after=inf]]"}]}',
            ),
            joined(
                b"/v1/chat/completions",
                b'{"model":"gpt-4o","messages":[{"role":"user","content":"' + b"[[a:" * 60_000 + b'"}]}',
            ),
            joined(
                b"/v1/chat/completions",
                b'{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}],"metadata":1,"x":' + _DEEP + b"}",
            ),
        ),
    }
)

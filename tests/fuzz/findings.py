"""Inputs that once brought a parser down, by target: kept, so that they never do again."""

from collections.abc import Mapping
from types import MappingProxyType

from tests.fuzz.target import golden, joined

_MANY_DIGITS = b"1" * 5_000
_DEEP = b"[" * 900 + b"]" * 900

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

"""Inputs made from good ones: a value replaced by one that parsers stumble over, bytes cut, doubled, moved, changed."""

import re

from hypothesis import strategies as st

NASTY = (
    *(b"1e999999999", b"-1e999999999", b"1e-999999999", b"1" * 5_000, b"-" + b"9" * 400, b"9223372036854775808"),
    *(
        b"18446744073709551616",
        b"-1",
        b"0",
        b"-0.0",
        b"1.5",
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"null",
        b"true",
        b'""',
    ),
    *(b'"\\ud800"', b'"\\udfff\\ud800"', b'"\\u0000"', b'"\xff\xfe"', b'"\xed\xa0\x80"', b'"\xf0\x9f\x99\x82"'),
    *(b'"' + b"a" * 5_000 + b'"', b'"' + b" " * 5_000 + b'"', b'"' + b"'\\" * 2_000 + b'"', b'"1e999999999"', b'"NaN"'),
    *(b"[" * 900 + b"]" * 900, b'{"a":' * 900 + b"1" + b"}" * 900, b"[" * 100_000, b"[" + b"{}," * 3_000 + b"{}]"),
    *(b"[]", b"{}", b"[[]]", b'{"":0}', b'{"kind":"kind","kind":1}', b'"0001-01-01T00:00:00+23:59"'),
    *(b'"9999-12-31T23:59:59-23:59"', b"253402300800000", b"-62135596800001", b"1.7976931348623157e309"),
)
"""Numbers beyond every bound, halves of characters, depth, length, dates out of range."""

_VALUE = re.compile(rb'"(?:[^"\\]|\\.)*"(?!\s*:)|-?\d+(?:\.\d+)?|true|false|null')


@st.composite
def mutated(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        data = draw(st.sampled_from(_WAYS))(draw, data)
    return data


def _place(draw: st.DrawFn, data: bytes) -> tuple[int, int]:
    start = draw(st.integers(0, len(data)))
    return start, draw(st.integers(start, min(len(data), start + 40)))


def _replace_value(draw: st.DrawFn, data: bytes) -> bytes:
    found = list(_VALUE.finditer(data))
    if not found:
        return data + draw(st.sampled_from(NASTY))
    value = draw(st.sampled_from(found))
    return data[: value.start()] + draw(st.sampled_from(NASTY)) + data[value.end() :]


def _repeat(draw: st.DrawFn, data: bytes) -> bytes:
    start, end = _place(draw, data)
    return data[:end] + data[start:end] * draw(st.integers(1, 50)) + data[end:]


def _remove(draw: st.DrawFn, data: bytes) -> bytes:
    start, end = _place(draw, data)
    return data[:start] + data[end:]


def _cut(draw: st.DrawFn, data: bytes) -> bytes:
    return data[: draw(st.integers(0, len(data)))]


def _insert(draw: st.DrawFn, data: bytes) -> bytes:
    start, _ = _place(draw, data)
    return data[:start] + draw(st.one_of(st.binary(max_size=8), st.sampled_from(NASTY))) + data[start:]


def _change(draw: st.DrawFn, data: bytes) -> bytes:
    start, _ = _place(draw, data)
    return data[:start] + draw(st.binary(min_size=1, max_size=2)) + data[start + 1 :]


_WAYS = (_replace_value, _replace_value, _replace_value, _repeat, _remove, _cut, _insert, _change)

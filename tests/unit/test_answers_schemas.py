"""Schemas are other people's words: whatever they ask for, checking an answer takes neither the memory nor the time of
a worker; and what is found wrong is said in the schema's words, never in the answer's.
"""

import subprocess
import sys
import time
from typing import Any

import pytest

from schemas.base import dump_json
from streams.answers.compiled import MOST_KEPT_BYTES, CompiledSchemas
from streams.answers.schema import UnusableSchema, problems_of

MOST_PEAK_BYTES = 256 * 1024 * 1024
"""Of a process that checks answers against nothing but hostile schemas, its own 60 MB included."""

HOSTILE = r"""
import json, resource, sys
from streams.answers.schema import UnusableSchema, problems_of

def by_field(patterns):
    return {"properties": {f"p{n}": {"pattern": each} for n, each in enumerate(patterns)}}

schemas = [
    by_field(f"[a-c]{{{9000 + n}}}" for n in range(400)),
    by_field([r"(?i)" + r"\pL" * 80_000]),
    by_field([r"\pL" * 80_000]),
    {"patternProperties": {f"a{n}": True for n in range(20_000)}},
    *(by_field(f"[a-c]{{{200 + n}}}x|{k}" for n in range(120)) for k in range(20)),
    *(by_field(f"a{{{400 + n}}}x|{k}" for n in range(60)) for k in range(20)),
    *({"properties": {f"p{n}": {"minLength": k} for n in range(9_000)}} for k in range(20)),
    {"$defs": {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(13)} | {"d13": {"type": "array"}},
     "$ref": "#/$defs/d0"},
]
for schema in map(json.dumps, schemas):
    for text in ("abcabac" * 200, "a" * 1_000):
        try:
            problems_of({f"p{n}": text for n in range(130)}, schema)
        except UnusableSchema:
            pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def checked(value: Any, schema: dict[str, Any]) -> tuple[str, ...]:
    return problems_of(value, dump_json(schema).decode())


def by_field(*patterns: str) -> dict[str, Any]:
    return {"properties": {f"p{n}": {"pattern": each} for n, each in enumerate(patterns)}}


def test_hostile_schemas_take_no_more_memory_than_is_stated() -> None:
    # by way of a shell: a process' peak begins with that of whoever starts it
    command = ["/bin/sh", "-c", '"$0" -c "$1"; exit $?', sys.executable, HOSTILE]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own words
    assert int(done.stdout) < MOST_PEAK_BYTES


@pytest.mark.parametrize(
    "schema",
    [
        by_field(*(f"[a-c]{{{9000 + n}}}" for n in range(400))),
        by_field(*(f"a{n}" for n in range(200))),
        by_field(r"\p{L}" * 100),
        by_field("(?i)a"),
        by_field("(?:ab|ba){9000}{90}"),
        by_field("ab" * 3_000),
        {"patternProperties": {f"a{n}": True for n in range(200)}},
    ],
    ids=["states", "many", "scripts", "flags", "one", "long", "names"],
)
def test_patterns_that_ask_for_more_than_their_share_are_not_checked(schema: dict[str, Any]) -> None:
    with pytest.raises(UnusableSchema):
        checked({"p0": "c"}, schema)


def test_patterns_that_people_write_are_checked() -> None:
    ordinary = (r"^[A-Z]{2}\d{6}$", r"\w+@\w+", r"^\d{4}-\d{2}-\d{2}$", r"^https?://\S+$", r"^[a-z0-9-]{1,63}$")
    schema = by_field(
        *(each.replace("^", f"^(?:{n})?") for n in range(4) for each in ordinary), "^.{1,100}$", r"^\p{L}+$"
    )
    fits = ("AB123456", "a@b", "2026-01-02", "https://example.org", "a-1") * 4 + ("x", "Größe")
    assert len(fits) == 22
    assert checked({f"p{n}": text for n, text in enumerate(fits)}, schema) == ()
    for wrong in range(22):
        (problem,) = checked({f"p{n}": "" if n == wrong else text for n, text in enumerate(fits)}, schema)
        assert problem.startswith(f"p{wrong}: the value does not match")


def test_an_answer_that_a_pattern_would_take_minutes_for_is_not_checked() -> None:
    slow = by_field(r"[a-c]{7000}x?0", r"[a-c]{7001}x?1")
    assert checked({"p0": "a"}, slow)
    since_s = time.process_time()
    with pytest.raises(UnusableSchema):
        checked({"p0": "abcabac" * 20_000, "p1": "abcabac" * 20_000}, slow)
    assert time.process_time() - since_s < 5


def test_what_was_not_used_for_the_longest_makes_room_for_other_schemas() -> None:
    one, other = (dump_json({"properties": {f"{name}{n}": {} for n in range(500)}}).decode() for name in "ab")
    known = CompiledSchemas(most_bytes=1_000_000)
    first = known.get(one)
    assert first is not None
    assert known.get(one) is first
    known.get(other)
    assert len(known) == 1
    assert known.get(one) is not first


def test_many_small_schemas_are_kept_together() -> None:
    known = CompiledSchemas(MOST_KEPT_BYTES)
    schemas = [dump_json(by_field(r"^[A-Z]{2}\d{6}$", rf"\w+@\w+{n}")).decode() for n in range(300)]
    for each in schemas:
        assert known.get(each) is not None
    assert len(known) == 256


@pytest.mark.parametrize(
    ("schema", "value", "said"),
    [
        ({"additionalProperties": False, "properties": {"a": {}}}, {"ada@example.org": 1}, "that is not allowed"),
        ({"unevaluatedProperties": False}, {"ada@example.org": 1}, "that is not allowed"),
        ({"propertyNames": {"maxLength": 3}}, {"ada@example.org": 1}, "whose name is not allowed"),
        ({"propertyNames": {"pattern": "^x"}}, {"ada@example.org": 1}, "whose name is not allowed"),
        (
            {"additionalProperties": {"type": "integer"}},
            {"ada@example.org": "x"},
            '*: the value is not of type "integer"',
        ),
        ({"patternProperties": {"@": {"type": "integer"}}}, {"ada@example.org": "x"}, "*: the value is not of type"),
        ({"properties": {"a": {"items": {"type": "null"}}}}, {"a": [None, "ada@example.org"]}, "a.1: the value is not"),
    ],
)
def test_a_complaint_quotes_no_name_that_only_the_answer_knows(schema: dict[str, Any], value: Any, said: str) -> None:
    (problem,) = checked(value, schema)
    assert said in problem
    assert "ada" not in problem

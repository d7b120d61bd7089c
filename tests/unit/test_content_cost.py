"""A hostile text takes about as long and as much memory as prose of its length, whatever is looked for in it."""

import subprocess
import sys
from typing import NamedTuple

import pytest

MIB = 1024 * 1024
MOST_TIMES_AS_LONG = 40
MOST_TIMES_ITS_LENGTH = 55
"""Of memory, beyond what the prose before it took."""
SCRIPT = """
import resource, time
from schemas.content import ContentRule
from schemas.request import Request
from schemas.response import Output
from streams.answers.repair import mended
from streams.content.guard import guard_of
from streams.content.json_text import in_json
from tests.unit.examples import control, request_json, tenant, ticket

MIB = 1024 * 1024
rules = [ContentRule(name=f"r{n}", words=(f"forbidden{n}",), patterns=(f"secret{n}x+",)) for n in range(20)]
guard = guard_of(control(tenant(content_rules=tuple(rules))), ticket())

def let_in(text):
    guard.let_in(Request.decode(request_json(messages=[{"role": "user", "content": text}])))

def let_out(text):
    guard.let_out(Output(content=text))

def read_as_json(text):
    in_json(text, lambda said: said)

def mend(text):
    mended(text)

def measured(work, text):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    since_s = time.process_time()
    work(text)
    took_s = time.process_time() - since_s
    return took_s, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
"""


class Measured(NamedTuple):
    prose_s: float
    prose_bytes: int
    hostile_s: float
    hostile_bytes: int


def measured(work: str, prose: str, hostile: str) -> Measured:
    """The texts as Python has them."""
    script = f"{SCRIPT}\n{work}('{{}}')\nprint(*measured({work}, {prose}), *measured({work}, {hostile}))"
    # by way of a shell: a process' peak begins with that of whoever starts it
    command = ["/bin/sh", "-c", '"$0" -c "$1"; exit $?', sys.executable, script]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()  # noqa: S603 - our own words
    return Measured(float(said[0]), int(said[1]), float(said[2]), int(said[3]))


@pytest.mark.parametrize("work", ["let_in", "let_out"])
@pytest.mark.parametrize(
    "hostile", [r"'\\n' * MIB", r"'\\u0041' * (MIB // 3)", r"'a\u200b' * (MIB // 2)", r"'\\' * 2 * MIB"]
)
def test_twenty_rules_read_a_text_of_escapes_or_of_what_nobody_sees_once(work: str, hostile: str) -> None:
    found = measured(work, "'the quick brown fox ' * (2 * MIB // 20)", hostile)
    assert found.hostile_s < MOST_TIMES_AS_LONG * found.prose_s
    assert found.hostile_bytes < MOST_TIMES_ITS_LENGTH * 2 * MIB


@pytest.mark.parametrize("inside", ["'x' * MIB", r"'\\n' * (MIB // 2)"])
def test_a_string_of_json_is_read_in_no_more_memory_than_it_takes(inside: str) -> None:
    found = measured("read_as_json", "'{}'", f"""'{{"a":"' + {inside} + '"}}'""")
    assert found.hostile_bytes < MOST_TIMES_ITS_LENGTH * MIB


@pytest.mark.parametrize(
    "hostile",
    [
        """'{"a": /*' + 'x' * 990_000 + '*/ 1,}'""",
        """'{"a": /*' + '*' * 990_000 + '*/ 1,}'""",
        """'{"a": "' + r'\\n' * 490_000 + '",}'""",
        """"{'a': '" + r'\\n' * 490_000 + "',}\"""",
        """'[' + "a'b" * 330_000 + '] {}'""",
    ],
)
def test_what_is_mended_is_read_in_no_more_memory_than_it_takes(hostile: str) -> None:
    found = measured("mend", "'{}'", hostile)
    assert found.hostile_bytes < MOST_TIMES_ITS_LENGTH * MIB

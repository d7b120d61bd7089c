"""The strings that must not turn up where they do not belong: in a prompt, an answer, a key.

Whoever searches logs, metrics, rows, headers or another tenant's answers searches for `FORBIDDEN`.
"""

import re
from collections.abc import Mapping

from pydantic import SecretStr

PROMPT = "CANARY-PROMPT"
ANSWER = "CANARY-ANSWER"
KEY = "CANARY-KEY"
FORBIDDEN: tuple[str, ...] = (PROMPT, ANSWER, KEY)
"""Never in a log, a metric, a row of the cost table, an alert, or a header of a dead letter."""

TENANTS = ("north", "south", "east")
SHARED = "shared"
"""In place of a tenant's name in prompts that several tenants send word for word."""

WRONG_KEY = SecretStr(f"{KEY}-nobody-6f1d2c")
_KEYS = {"north": f"{KEY}-north-7b90aa", "south": f"{KEY}-south-1c44e2", "east": f"{KEY}-east-e05d31"}
_NUMBER = re.compile(r"CANARY-(?:PROMPT|ANSWER)-[a-z]+-(\d+)")
_OWNER = re.compile(r"CANARY-(?:PROMPT|ANSWER)-([a-z]+)-")


def keys() -> Mapping[str, SecretStr]:
    """By tenant. `millrace.toml` beside this has their hashes; they open nothing else."""
    return {tenant: SecretStr(key) for tenant, key in _KEYS.items()}


def prompt_mark(owner: str, number: int) -> str:
    return f"{PROMPT}-{owner}-{number}"


def answer_mark(owner: str, number: int) -> str:
    return f"{ANSWER}-{owner}-{number}"


def owners(text: str) -> frozenset[str]:
    """The tenants whose marks are in a text; SHARED belongs to nobody."""
    return frozenset(_OWNER.findall(text)) - {SHARED}


def numbers(text: str) -> frozenset[str]:
    """Which arrivals the marks in a text are of, in digits."""
    return frozenset(_NUMBER.findall(text))

"""What must not be shown, in every form in which it is looked for: as it is, in base64, in hexadecimal, in a URL."""

from collections.abc import Mapping
from pathlib import Path

from scripts.chaos.canaries import SHORTEST, forms
from scripts.chaos.load import canaries
from scripts.chaos.verify.crashes import BUGS

Words = Mapping[str, frozenset[bytes]]
"""By name, which says what was found without saying it again."""

MARKS: Words = {mark: forms(mark) for mark in canaries.FORBIDDEN}
CRASHES: Words = {bug: frozenset({bug.encode()}) for bug in BUGS}


def provider_keys(secrets: Path) -> Words:
    """By the names of their files, of which there may be none."""
    keys = {file.name: file.read_text().strip() for file in sorted(secrets.glob("*")) if file.is_file()}
    return {name: forms(key) for name, key in keys.items() if len(key) >= SHORTEST}


def found_in(content: bytes, words: Words = MARKS) -> tuple[str, ...]:
    """The names of those that are in it."""
    return tuple(name for name, ways in words.items() if any(way in content for way in ways))

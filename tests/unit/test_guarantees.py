"""Every promise of docs/guarantees.md, and every item of docs/middle.md, names tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROMISES = (ROOT / "docs" / "guarantees.md").read_text()
_, ITEMS = (ROOT / "docs" / "middle.md").read_text().split("\n## Proved by\n")


@pytest.mark.parametrize("page", [PROMISES, ITEMS], ids=["promises", "items"])
def test_every_promise_names_a_test_and_every_named_test_exists(page: str) -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    existing = set(re.findall(r"def (test_\w+)", sources))
    rows = [
        line
        for line in page.splitlines()
        if line.startswith("|") and not line.startswith(("| promise", "| what", "|---"))
    ]
    assert rows
    for row in rows:
        proof = row.rsplit("|", 2)[1]
        named = set(re.findall(r"`(test_\w+)`", proof))
        files = re.findall(r"`(tests/[\w/.]+)`", proof)
        assert named or files, f"no test proves: {row}"
        assert named <= existing, f"gone: {named - existing}"
        assert all((ROOT / file).exists() for file in files)

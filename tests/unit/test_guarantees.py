"""Every promise of docs/guarantees.md names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guarantees.md").read_text()


def test_every_promise_names_a_test_and_every_named_test_exists() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    existing = set(re.findall(r"def (test_\w+)", sources))
    rows = [line for line in PAGE.splitlines() if line.startswith("|") and not line.startswith(("| promise", "|---"))]
    assert rows
    for row in rows:
        proof = row.rsplit("|", 2)[1]
        named = set(re.findall(r"`(test_\w+)`", proof))
        files = re.findall(r"`(tests/[\w/.]+)`", proof)
        assert named or files, f"no test proves: {row}"
        assert named <= existing, f"gone: {named - existing}"
        assert all((ROOT / file).exists() for file in files)

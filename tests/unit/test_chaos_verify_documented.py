"""That what the documentation says is checked is what the verifier checks."""

import re
from pathlib import Path

from scripts.chaos.verify.verifier import Verifier

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
SAID_BY_THE_SHELL = {"read to the end"}


def test_every_invariant_is_documented_and_nothing_else() -> None:
    section = re.split(r"^##", PAGE.read_text().split("### What the verifier checks")[1], flags=re.MULTILINE)[0]
    rows = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert documented == {tally.name for tally in Verifier({}).tallies} | SAID_BY_THE_SHELL

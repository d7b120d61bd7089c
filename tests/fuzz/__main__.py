"""`make fuzz`: every target, or one, for so many seconds each, and a table of what came of it."""

import argparse
from pathlib import Path

from scripts.cli.screen import out, show_table
from tests.fuzz import campaign, structured
from tests.fuzz.campaign import Campaign
from tests.fuzz.registry import TARGETS

ENGINES = {"atheris": campaign.run, "hypothesis": structured.run}


def main() -> int:
    """The exit status: 1 when a target was brought down."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--target", action="append", choices=[*TARGETS], help="repeatable; all when absent")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--engine", choices=[*ENGINES], default="atheris", help="by coverage, or by structure")
    parser.add_argument("--input", type=Path, help="a file, to be read once by one target: how it goes down is shown")
    given = parser.parse_args()
    if given.input is not None:
        for name in given.target or TARGETS:
            TARGETS[name](given.input.read_bytes())
        return 0
    campaigns: list[Campaign] = []
    for name in given.target or TARGETS:
        campaigns.append(ENGINES[given.engine](TARGETS[name], given.seconds))
        out().print(f"{name}: {campaigns[-1].result} after {campaigns[-1].executions} executions")
    show_table(
        ("target", "executions", "seconds", "coverage", "result"),
        [(each.target, each.executions, round(each.seconds), each.coverage, each.result) for each in campaigns],
        right=("executions", "seconds", "coverage"),
    )
    down = [each for each in campaigns if each.result != "clean"]
    for each in down:
        out().print(f"run it again: {each.reproduction}", soft_wrap=True)
    return 1 if down else 0


if __name__ == "__main__":
    raise SystemExit(main())

"""`make fuzz`: every target, or one, for so many seconds each, and a table of what came of it."""

import argparse

from scripts.cli.screen import out, show_table
from tests.fuzz.campaign import Campaign, run
from tests.fuzz.registry import TARGETS


def main() -> int:
    """The exit status: 1 when a target was brought down."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--target", action="append", choices=[*TARGETS], help="repeatable; all when absent")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    given = parser.parse_args()
    campaigns: list[Campaign] = []
    for name in given.target or TARGETS:
        campaigns.append(run(TARGETS[name], given.seconds))
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

"""Whatever crashes, freezes, is cut off or comes late: nothing is lost, and what must be done once is."""

import pytest

from tests.simulated.scenario import Scenario
from tests.simulated.scenarios import SCENARIOS
from tests.simulated.schedule import Schedule

BLOCK = 25
BLOCKS = 3


@pytest.mark.parametrize("block", range(BLOCKS))
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_promise_holds_at_the_end_of_every_schedule(scenario: Scenario, block: int) -> None:
    """The seeds are those of `make simulate`: `make simulate SEED=…` shows a failed one step by step."""
    place = SCENARIOS.index(scenario)
    for number in range(block * BLOCK, (block + 1) * BLOCK):
        seed = number * len(SCENARIOS) + place
        verdict = Schedule(seed, scenario).run()
        assert not verdict.violations, f"seed {seed}: {verdict.violations}"


def test_a_seed_replays_to_the_last_step() -> None:
    first, second = (Schedule(2, SCENARIOS[2], trace=True).run() for _ in range(2))
    assert first.trace == second.trace
    assert first.faults == second.faults


def test_faults_of_every_kind_strike_somewhere() -> None:
    verdicts = [Schedule(seed, SCENARIOS[0]).run() for seed in range(40)]
    struck = {fault for verdict in verdicts for fault in verdict.faults}
    assert len(struck) >= 7, struck

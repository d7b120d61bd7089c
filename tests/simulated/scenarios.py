"""Every scenario there is. A seed says which one, too."""

from tests.simulated.answering import POSTPROCESS
from tests.simulated.caching import CACHE_STAGE
from tests.simulated.calling import INVOKE
from tests.simulated.limiting import LIMIT
from tests.simulated.passing import ROUTE
from tests.simulated.scenario import Scenario

SCENARIOS: tuple[Scenario, ...] = (ROUTE, LIMIT, CACHE_STAGE, POSTPROCESS, INVOKE)


def scenario_of(seed: int) -> Scenario:
    return SCENARIOS[seed % len(SCENARIOS)]

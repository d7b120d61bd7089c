"""Route: nothing is lost, and what comes of one key's events comes in their order."""

from collections.abc import Sequence

from msgspec.structs import replace

from schemas.flow import Dispatch, Miss
from schemas.topics import DISPATCH, MISSES
from streams.stages import route
from tests.fakes.kafka.log import Stored
from tests.simulated.burials import add_unfit, doomed
from tests.simulated.scenario import Scenario
from tests.simulated.world import World, synchronous
from tests.unit.examples import deployment, miss, tenant
from tests.unit.examples import route as route_object


def feed(world: World) -> None:
    world.configure(tenant(), deployment(), route_object())
    add_unfit(
        world,
        MISSES,
        replace(miss(), ticket=doomed(0)),
        replace(miss(), ticket=doomed(1)),
        "input_tokens",
    )
    for number in range(world.random.randint(4, 16)):
        # a request id is its records' key: repeated under another label, it stands for a key's later events
        event = miss(f"r-{number % 5}", labels={"number": str(number)})
        world.write(MISSES, event, key=event.ticket.request_id, after_ms=number * world.random.randint(0, 400))


def judge(world: World) -> list[str]:
    asked = _numbers_by_key(world.events(MISSES, Miss))
    came = _numbers_by_key(world.events(DISPATCH["normal"], Dispatch))
    return [f"of {key} {numbers}, {came.get(key)} came" for key, numbers in asked.items() if came.get(key) != numbers]


def _numbers_by_key(events: Sequence[Miss | Dispatch]) -> dict[str, list[str]]:
    """In the order of their first sight."""
    found: dict[str, dict[str, None]] = {}
    for event in events:
        found.setdefault(event.ticket.request_id, {})[event.ticket.labels["number"]] = None
    return {key: list(numbers) for key, numbers in found.items()}


def _never(_world: World, _stored: Stored) -> bool:
    return False


ROUTE = Scenario("route", synchronous(route.STAGE), feed, judge, _never)

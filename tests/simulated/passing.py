"""Route: nothing is lost, and what comes of one key's events comes in their order."""

from collections.abc import Sequence

from schemas.flow import Dispatch, Miss
from schemas.topics import DISPATCH, MISSES
from streams.runtime.outbox import DeliveryFailedError
from streams.stages import route
from tests.fakes.kafka.log import Stored
from tests.simulated.scenario import Scenario
from tests.simulated.world import World, synchronous
from tests.unit.examples import deployment, miss, tenant
from tests.unit.examples import route as route_object


def feed(world: World) -> None:
    world.configure(tenant(), deployment(), route_object())
    for number in range(world.random.randint(4, 16)):
        # a request id is its records' key: repeated under another label, it stands for a key's later events
        event = miss(f"r-{number % 5}", labels={"number": str(number)})
        world.write(MISSES, event, key=event.ticket.request_id, after_ms=number * world.random.randint(0, 400))


def judge(world: World) -> list[str]:
    """Where records were given up, a later event may have gone ahead; taken again, all come in their order."""
    gave_up = any(isinstance(process.failure, DeliveryFailedError) for process in world.workers)
    asked = _numbers_by_key(world.events(MISSES, Miss))
    came = _numbers_by_key(world.events(DISPATCH["normal"], Dispatch))
    in_order = _contains if gave_up else _begins_with
    return [
        f"of {key} {numbers}, {came.get(key)} came"
        for key, numbers in asked.items()
        if not in_order(came.get(key, []), numbers)
    ]


def _contains(came: list[str], numbers: list[str]) -> bool:
    rest = iter(came)
    return all(number in rest for number in numbers)


def _begins_with(came: list[str], numbers: list[str]) -> bool:
    """But for repetitions."""
    return list(dict.fromkeys(came)) == numbers


def _numbers_by_key(events: Sequence[Miss | Dispatch]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for event in events:
        found.setdefault(event.ticket.request_id, []).append(event.ticket.labels["number"])
    return found


def _never(_world: World, _stored: Stored) -> bool:
    return False


ROUTE = Scenario("route", synchronous(route.STAGE), feed, judge, _never)

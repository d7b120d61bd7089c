"""Events that cannot be handled, among the others: some are unreadable, of some the decision raises. They are kept byte
for byte, and whoever asked is told once, where that can be made out.
"""

import orjson

from schemas.base import Event
from schemas.flow import Ticket
from schemas.topics import RESPONSES, Topic
from tests.fakes.kafka.log import Stored
from tests.simulated.ledger import Ledger
from tests.simulated.world import DOOMED, World
from tests.unit.examples import ticket


def doomed(number: int) -> Ticket:
    return ticket(f"doomed-{number}", labels={DOOMED: "yes"})


def add_unfit(world: World, topic: Topic, doom: Event, spoil: Event, field: str) -> None:
    """`doom` is an event of `doomed(0)`, whose decision will raise; `spoil` one of `doomed(1)`, whose `field` is made
    unreadable.
    """
    spoilt = orjson.loads(spoil.encode())
    spoilt[field] = ["what no field may be"]
    unfit = (
        ("doomed-0", doom.encode(), "acme/doomed-0"),
        ("doomed-1", orjson.dumps(spoilt), "acme/doomed-1"),
        ("doomed-2", b"{no event", None),
    )
    for key, value, requester in unfit:
        if world.random.random() < 0.3:
            world.write_unfit(topic, value, requester, key=key, after_ms=world.random.randrange(4_000))


def buried(world: World, ledger: Ledger) -> list[str]:
    wrong: list[str] = []
    for unfit in world.unfits.values():
        for stored in world.cluster.records(unfit.topic):
            if stored.value == unfit.value:
                here = (stored.topic, stored.partition, stored.offset)
                wrong += _wrongly_buried(here, stored, ledger.buried[here])
                wrong += _wrongly_told(world, here, unfit.requester, ledger.told[here])
    return wrong


def _wrongly_buried(here: object, stored: Stored, letters: list[Stored]) -> list[str]:
    if not letters:
        return [f"{here} is not among the dead letters"]
    same = all((letter.key, letter.value) == (stored.key, stored.value) for letter in letters)
    return [] if same else [f"{here} is not kept as it was"]


def _wrongly_told(world: World, here: object, requester: str | None, told: list[Stored]) -> list[str]:
    """A completion may be written again under its own event id; a response may not."""
    times = len({dict(each.headers)["ce_id"] for each in told})
    times += len(told[1:]) if told and told[0].topic == world.kafka.topic(RESPONSES) else 0
    expected = 0 if requester is None else 1
    return [] if times == expected else [f"{requester} was told {times} times of {here}"]

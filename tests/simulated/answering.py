"""Postprocess: one response for each request, whatever crashes, and a priced row for every attempt."""

from typing import Any, cast

from schemas.call import CallRow
from schemas.flow import Completion
from schemas.response import Response
from schemas.topics import CALLS, COMPLETIONS, RESPONSES
from streams.runtime.stage import State
from streams.stages import postprocess
from streams.state.given_responses import identity_of
from tests.fakes.kafka.log import Stored
from tests.simulated.burials import add_unfit, doomed
from tests.simulated.scenario import Scenario
from tests.simulated.world import World, repeats, synchronous
from tests.unit.examples import attempt, completion, deployment, route, tenant, ticket


def feed(world: World) -> None:
    """Some requests are completed twice: once as they were, or by two workers of invoke, each after its own call."""
    world.configure(tenant(), deployment(), route())
    add_unfit(world, COMPLETIONS, completion(ticket=doomed(0)), completion(ticket=doomed(1)), "attempts")
    after_ms = 0
    for number in range(world.random.randint(4, 16)):
        after_ms += world.random.choice((0, 20, 400))
        first = completion(ticket=ticket(f"r-{number}"), attempts=(attempt(number + 1),))
        again = completion(ticket=ticket(f"r-{number}", stamps={}), attempts=(attempt(number + 101),))
        for event in world.random.choice(((first,), (first,), (first, first), (first, again))):
            world.write(COMPLETIONS, event, key=event.ticket.request_id, after_ms=after_ms)


def judge(world: World) -> list[str]:
    completed = world.events(COMPLETIONS, Completion)
    answered = [identity_of(response) for response in world.events(RESPONSES, Response)]
    rows = {row.attempt_id for row in world.events(CALLS, CallRow) if row.phase == "priced"}
    wrong = [f"{identity} was answered twice" for identity in repeats(answered)]
    wrong += [f"{e.ticket.identity} was not answered" for e in completed if e.ticket.identity not in answered]
    paid = {each.attempt_id for event in completed for each in event.attempts}
    return wrong + [f"{attempt_id} was not booked" for attempt_id in sorted(paid - rows)]


def leaves_nothing(_world: World, _stored: Stored) -> bool:
    return False


def picture(_world: World, state: State) -> Any:
    return set(cast("Any", state)._given)


POSTPROCESS = Scenario("postprocess", synchronous(postprocess.STAGE), feed, judge, leaves_nothing, picture)

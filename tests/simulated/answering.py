"""Postprocess: one response for each request, whatever crashes, however many rounds it takes, and a priced row for
every attempt of each.
"""

from collections import Counter
from typing import Any, cast

from msgspec.structs import replace

from schemas.call import CallRow
from schemas.flow import Again, Completion, Dispatch
from schemas.postprocess import AnswerRules
from schemas.response import Response
from schemas.topics import CALLS, COMPLETIONS, DISPATCH, RESPONSES
from streams.runtime.stage import State
from streams.stages import postprocess
from streams.state.given_responses import identity_of
from tests.fakes.kafka.log import Stored
from tests.simulated.burials import add_unfit, doomed
from tests.simulated.scenario import Scenario
from tests.simulated.world import World, repeats, synchronous
from tests.unit.examples import answer, attempt, carried, completion, deployment, plan, prompt, route, tenant, ticket

ROUNDS = replace(plan(max_attempts=4), rules=AnswerRules(structure="check", re_ask=True, cascade=True))
_GOOD, _BAD = '{"crop":"leek"}', "leek"


def feed(world: World) -> None:
    """Some requests are completed twice: once as they were, or by two workers of invoke, each after its own call. Some
    answers lead to another round, which somebody carries out in turn.
    """
    world.configure(tenant(), deployment(), route())
    world.on_written(DISPATCH["normal"], lambda stored: _carry_out(world, Dispatch.decode(stored.value or b"")))
    add_unfit(world, COMPLETIONS, completion(ticket=doomed(0)), completion(ticket=doomed(1)), "attempts")
    after_ms = 0
    for number in range(world.random.randint(4, 16)):
        after_ms += world.random.choice((0, 20, 400))
        first = completion(ticket=ticket(f"r-{number}"), attempts=(attempt(number + 1),))
        again = completion(ticket=ticket(f"r-{number}", stamps={}), attempts=(attempt(number + 101),))
        for event in world.random.choice(((first,), (first,), (first, first), (first, again))):
            asked = event if number % 2 else _of_a_round(world, event)
            world.write(COMPLETIONS, asked, key=event.ticket.request_id, after_ms=after_ms)


def _of_a_round(world: World, event: Completion) -> Completion:
    """An answer that is held to rules: it may pass or not."""
    said = answer(world.random.choice((_GOOD, _BAD)))
    again = Again(prompt=carried(prompt("Which crop?")), input_tokens=10)
    return replace(event, plan=ROUNDS, answer=said, parse_json=True, again=again)


def _carry_out(world: World, asked: Dispatch) -> None:
    """Once, as `invoke` does, or by two who do not know of each other."""
    dispatched = world.events(DISPATCH["normal"], Dispatch)
    before = [each for each in dispatched if each.round_name == asked.round_name]
    if len(before) > 1 and world.random.random() < 0.8:
        return
    made = len(asked.round.attempts) if asked.round else 0
    own = attempt(made + 1, attempt_id=f"{asked.round_name}/{len(before)}")
    ended = asked.ticket.stamped("invoke", world.timeline.now_ms + len(before))
    event = replace(completion(ticket=ended, attempts=(own,)), round=asked.round)
    held_to = replace(_of_a_round(world, event), again=Again(prompt=asked.prompt, input_tokens=10))
    world.write(COMPLETIONS, held_to, key=asked.ticket.request_id, after_ms=world.random.randrange(3_000))


def judge(world: World) -> list[str]:
    completed = world.events(COMPLETIONS, Completion)
    answered = [identity_of(response) for response in world.events(RESPONSES, Response)]
    rows = {row.attempt_id for row in world.events(CALLS, CallRow) if row.phase == "priced"}
    wrong = [f"{identity} was answered twice" for identity in repeats(answered)]
    wrong += [f"{e.ticket.identity} was not answered" for e in completed if e.ticket.identity not in answered]
    finals = Counter(row.request_id for row in _newest(world).values() if row.is_final)
    wrong += [f"{name} has {many} final rows" for name, many in sorted(finals.items()) if many > 1]
    paid = {each.attempt_id for event in completed for each in event.attempts}
    return wrong + [f"{attempt_id} was not booked" for attempt_id in sorted(paid - rows)]


def _newest(world: World) -> dict[str, CallRow]:
    """Of each attempt, the row that was priced last."""
    return {row.attempt_id: row for row in world.events(CALLS, CallRow) if row.phase == "priced" and row.attempt_no}


def leaves_nothing(_world: World, _stored: Stored) -> bool:
    return False


def picture(_world: World, state: State) -> Any:
    return set(cast("Any", state)._given)


POSTPROCESS = Scenario("postprocess", synchronous(postprocess.STAGE), feed, judge, leaves_nothing, picture)

"""Postprocess: one response for each request, whatever crashes, however many rounds it takes, whoever judges it, and a
priced row for every attempt of each.
"""

from collections import Counter
from typing import Any, cast

from msgspec.structs import replace

from schemas.call import CallRow
from schemas.flow import Again, Completion, Dispatch, Target, is_judging
from schemas.postprocess import AnswerRules, JudgeRule
from schemas.response import Response
from schemas.topics import CALLS, COMPLETIONS, DISPATCH, RESPONSES
from streams.content.guard import NO_GUARD
from streams.runtime.stage import State
from streams.stages import postprocess
from streams.state.given_responses import identity_of
from tests.fakes.kafka.log import Stored
from tests.simulated.burials import add_unfit, doomed
from tests.simulated.scenario import Scenario
from tests.simulated.world import World, repeats, synchronous
from tests.unit.examples import answer, attempt, carried, completion, deployment, plan, prompt, route, tenant, ticket

ROUNDS = replace(plan(max_attempts=4), rules=AnswerRules(structure="check", re_ask=True, cascade=True))
JUDGED = replace(
    ROUNDS,
    max_attempts=6,
    targets=(
        *ROUNDS.targets,
        Target(deployment="openai-1", provider="openai", model="gpt-4o"),
        Target(deployment="judge", provider="openai", model="gpt-4o-mini", why="judge"),
    ),
    judge_from=2,
    rules=AnswerRules(structure="check", re_ask=True, cascade=True, judge=JudgeRule(at_least=0.5)),
    guard=NO_GUARD,
)
_MARKS = ('{"score": 0.9}', '{"score": 0.1}', "Fine.")
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
    """An answer that is held to rules: it may pass or not. One in two is judged then."""
    rules = JUDGED if int(event.ticket.request_id.rpartition("-")[2]) % 4 else ROUNDS
    said = answer(world.random.choice((_GOOD, _BAD)))
    again = Again(prompt=carried(prompt("Which crop?")), input_tokens=10)
    return replace(event, plan=rules, answer=said, parse_json=True, again=again)


def _carry_out(world: World, asked: Dispatch) -> None:
    """Once, as `invoke` does, or by two who do not know of each other."""
    dispatched = world.events(DISPATCH["normal"], Dispatch)
    before = [each for each in dispatched if each.round_name == asked.round_name]
    if len(before) > 1 and world.random.random() < 0.8:
        return
    made = len(asked.round.attempts) if asked.round else 0
    index = asked.round.from_target if asked.round else 0
    own = attempt(made + 1, target_index=index, attempt_id=f"{asked.round_name}/{len(before)}")
    ended = asked.ticket.stamped("invoke", world.timeline.now_ms + len(before))
    event = replace(completion(ticket=ended, attempts=(own,)), round=asked.round)
    if is_judging(asked.round):
        said = replace(answer(world.random.choice(_MARKS)), deployment="judge")
        held_to = replace(event, plan=asked.plan, answer=said, attempts=(replace(own, deployment="judge"),))
    else:
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
    wrong += [
        f"{row.attempt_id} of a judge is final" for row in _newest(world).values() if row.is_final and _judges(row)
    ]
    wrong += [f"{each.request_id} was given a mark" for each in world.events(RESPONSES, Response) if _is_mark(each)]
    paid = {each.attempt_id for event in completed for each in event.attempts}
    return wrong + [f"{attempt_id} was not booked" for attempt_id in sorted(paid - rows)]


def _judges(row: CallRow) -> bool:
    return row.deployment == "judge"


def _is_mark(response: Response) -> bool:
    return response.output is not None and response.output.content in _MARKS


def _newest(world: World) -> dict[str, CallRow]:
    """Of each attempt, the row that was priced last."""
    return {row.attempt_id: row for row in world.events(CALLS, CallRow) if row.phase == "priced" and row.attempt_no}


def leaves_nothing(_world: World, _stored: Stored) -> bool:
    return False


def picture(_world: World, state: State) -> Any:
    return set(cast("Any", state)._given)


POSTPROCESS = Scenario("postprocess", synchronous(postprocess.STAGE), feed, judge, leaves_nothing, picture)

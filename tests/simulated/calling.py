"""Invoke: no call without a row before it, a completion for every request, and no second call but for those in flight
when something broke.
"""

import asyncio
from itertools import count
from typing import cast

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from msgspec.structs import replace

from schemas.call import CallRow
from schemas.control import Deployment
from schemas.flow import Completion, Dispatch, Round
from schemas.prompt import UserMessage
from schemas.topics import CALLS, COMPLETIONS, DISPATCH
from streams.invoke.caller import Caller, Surroundings
from streams.invoke.calling import ALLOWANCE_MS
from streams.invoke.lanes import Lanes
from streams.invoke.others import Others
from streams.invoke.outbox import AsyncOutbox
from streams.invoke.work import STAGE
from streams.invoke.worker import InvokeWorker
from streams.providers.protocol import Lost, Question, Reply, TurnedAway
from streams.runtime.follower import ControlFollower, wait_for_configuration
from streams.runtime.restore import TableReader
from streams.stages.invoke import Backoff
from tests.fakes.kafka.aio import FakeAioConsumer, FakeAioProducer, passed
from tests.fakes.kafka.clients import FakeClients
from tests.fakes.kafka.log import Stored
from tests.fakes.provider import saying
from tests.simulated.burials import add_unfit, doomed
from tests.simulated.loop import VirtualLoop
from tests.simulated.scenario import Scenario
from tests.simulated.world import DOOMED, KAFKA, Asked, Part, Process, World
from tests.unit.examples import attempt, carried, completion, deployment, dispatch, prompt, route, tenant, ticket

LONGEST_CALL_S = 8.0
SLOWEST_MS = 3_000
"""The longest journey of a record over the network."""
JUDGES = 3
"""Number of the round in which a judge is asked: nobody waits for one."""
DRAIN_MS = 20_000
"""No call outlasts it: who is told to stop cuts none off."""


def feed(world: World) -> None:
    world.configure(tenant(), deployment(), route())
    doom, spoil = (dispatch(ticket_=doomed(number)) for number in (0, 1))
    add_unfit(world, DISPATCH["normal"], replace(doom, prompt=carried(prompt(DOOMED))), spoil, "plan")
    after_ms = 0
    for _ in range(world.random.randint(4, 16)):
        after_ms += world.random.choice((0, 20, 400, 2_000))
        name = f"r-{world.random.randrange(12)}"  # some are dispatched twice, as after a crash of `route`
        number = world.random.choice((0, 0, 1, 2, 3))
        event = dispatch(ticket_=ticket(name))
        if number:  # what was asked again is another question, though the request is the same
            judged = _answered(world.random.choice("ab")) if number == JUDGES else None
            asked = replace(event.plan, targets=event.plan.targets * 2, judge_from=1) if judged else event.plan
            event = replace(event, plan=asked, round=Round(number=number, attempts=(), judged=judged))
        event = replace(event, prompt=carried(prompt(_question(event))))
        world.write(DISPATCH["normal"], event, key=name, after_ms=after_ms)


def _question(event: Dispatch | Completion) -> str:
    """What is to be called for once, and not by the words of who sees to that."""
    asked = event.round
    whose = "" if asked is None or asked.judged is None else asked.judged.attempts[-1].attempt_id
    return f"{event.ticket.identity} {asked.number if asked else 0}{whose}"


def _answered(by: str) -> Completion:
    """What a judge is asked about: two may have answered in the same round."""
    return completion(attempts=(attempt(attempt_id=by),))


class Desk:
    """The provider. It turns some away at once, is silent for some, and answers the others in its own time."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process

    async def ask(self, deployment: Deployment, question: Question) -> Reply:
        self._process.host.must_be_up()
        (message,) = question.prompt.messages
        name = str(message.content) if isinstance(message, UserMessage) else ""
        if name == DOOMED:
            raise ZeroDivisionError
        asked = Asked(name, self._process.host.name, self._world.timeline.now_ms)
        self._world.asked.append(asked)
        self._look_for_its_row(question, asked)
        self._process.host.call("ask")
        if self._world.random.random() < 0.1:
            self._world.failed.append(asked)
            raise TurnedAway("rate_limited", "The provider refused (HTTP 429): wait.", http_status=429)
        try:
            async with asyncio.timeout(question.timeout_ms / 1000):
                await passed(self._world.random.choice((0.01, 0.5, LONGEST_CALL_S)))
        except TimeoutError:
            self._world.failed.append(asked)
            raise Lost("timeout", "The provider did not answer in time.") from None
        return saying(f"{deployment.name} answers {name}")

    def _look_for_its_row(self, question: Question, asked: Asked) -> None:
        started = {row.attempt_id for row in self._world.events(CALLS, CallRow) if row.phase == "started"}
        if question.attempt_id not in started:
            self._world.wrong.append(f"{asked.identity} was asked without a row")


def run(world: World, process: Process) -> None:
    loop = VirtualLoop(process.host, world.scheduler)
    try:
        loop.run_until_complete(_work(world, process))
    finally:
        loop.dispose()


async def _work(world: World, process: Process) -> None:
    """As `streams.invoke.process` puts it together."""
    clients = FakeClients(process.host, KAFKA)
    follower = ControlFollower(clients, KAFKA)
    await asyncio.to_thread(wait_for_configuration, follower, process.stop)
    reader = TableReader(clients, STAGE, world.metrics)
    me, ids = process.host.name, count()
    surroundings = Surroundings(process.now_ms, lambda: f"{me}-{next(ids)}", asyncio.sleep)
    worker = InvokeWorker(
        cast("AIOKafkaConsumer", FakeAioConsumer(process.host, KAFKA.group(STAGE))),
        AsyncOutbox(KAFKA, cast("AIOKafkaProducer", FakeAioProducer(process.host, 40_000))),
        Caller(Desk(world, process), lambda: follower.view, surroundings, Backoff(200, 5_000), world.metrics),
        follower,
        Others(clients, reader, KAFKA, me=me, window_ms=3_600_000, now_ms=process.now_ms),
        Lanes({"high": 4, "normal": world.random.choice((1, 4)), "low": 4}),
        kafka=KAFKA,
        settings=world.settings,
        drain_ms=DRAIN_MS,
        now_ms=process.now_ms,
        metrics=world.metrics,
        progress=process.progress,
        reconfigured=_nothing,
    )
    told = asyncio.Event()
    telling = asyncio.get_running_loop().create_task(_tell(process, told))
    await worker.run(told)
    telling.cancel()


async def _nothing(_view: object) -> None:
    """No clients are kept."""


async def _tell(process: Process, told: asyncio.Event) -> None:
    while not process.stop.is_set():
        await passed(0.5)
    told.set()


def judge(world: World) -> list[str]:
    dispatched = {_question(event) for event in world.events(DISPATCH["normal"], Dispatch)}
    completed = {_question(event) for event in world.events(COMPLETIONS, Completion)}
    return [f"{identity} was not completed" for identity in sorted(dispatched - completed)] + _paid_twice(world)


def _paid_twice(world: World) -> list[str]:
    """Without anything that broke, while that call was in flight, on the worker that made it."""
    wrong: list[str] = []
    latest: dict[str, Asked] = {}
    for asked in world.asked:
        if asked in world.failed:
            continue
        before = latest.get(asked.identity)
        if before is not None and not _was_broken(world, before):
            wrong.append(f"{asked.identity} was asked by {before.host} and, for no reason, by {asked.host}")
        latest[asked.identity] = asked
    return wrong


def _was_broken(world: World, asked: Asked) -> bool:
    """It ended, or could not be heard for longer than a completion may take (docs/decisions/0008)."""
    over_ms = asked.at_ms + int(LONGEST_CALL_S * 1000) + ALLOWANCE_MS + SLOWEST_MS
    return any(
        each.host == asked.host
        and each.from_ms <= over_ms
        and asked.at_ms <= each.until_ms
        and (each.from_ms == each.until_ms or each.until_ms - each.from_ms >= ALLOWANCE_MS - SLOWEST_MS)
        for each in world.breaks
    )


def leaves_nothing(world: World, stored: Stored) -> bool:
    """A repetition of what is completed."""
    question = _question(Dispatch.decode(stored.value or b""))
    return any(_question(event) == question for event in world.events(COMPLETIONS, Completion))


INVOKE = Scenario(
    "invoke", Part(STAGE, tuple(DISPATCH.values()), run), feed, judge, leaves_nothing, outcomes=(COMPLETIONS,)
)

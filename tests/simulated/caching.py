"""Cache: every question is asked or answered, and while one is being asked nobody else asks it."""

from typing import Any, assert_never, cast

from msgspec.structs import replace

from schemas.cached import CacheRecord, Fill, FlightEnded, FlightStarted, Invalidated
from schemas.flow import Admitted, Completion, Miss, Saved
from schemas.response import Failure
from schemas.topics import ADMITTED, CACHE, COMPLETIONS, MISSES
from schemas.usage import Usage
from streams.runtime.stage import State
from streams.stages import cache
from tests.fakes.kafka.log import Stored
from tests.simulated.burials import add_unfit, doomed
from tests.simulated.scenario import Scenario
from tests.simulated.world import World, synchronous
from tests.unit.examples import admitted, answer, deployment, route, tenant

DAY_MS = 86_400_000


def feed(world: World) -> None:
    world.configure(tenant(), deployment(), route())
    world.on_written(MISSES, lambda stored: _end(world, Miss.decode(stored.value or b"")))
    doom, spoil = (replace(admitted(), ticket=doomed(number)) for number in (0, 1))
    add_unfit(world, ADMITTED, doom, spoil, "input_tokens")
    after_ms = 0
    for number in range(world.random.randint(4, 16)):
        after_ms += world.random.choice((0, 20, 400))
        text = f"question {world.random.randrange(3)}"
        session = f"s-{world.random.randrange(3)}"  # of the namespace, so that all partitions take part
        event = admitted(f"r-{number}", text=text, task=session)
        world.write(ADMITTED, event, key=event.namespace, after_ms=after_ms)


def _end(world: World, miss: Miss) -> None:
    """The question is asked and ends with an answer, or with none to keep. Once: `invoke` absorbs what is completed."""
    slot = miss.slot
    earlier = [event for event in world.events(MISSES, Miss) if event.ticket.identity == miss.ticket.identity]
    if slot is None or len(earlier) > 1:
        return
    now_ms = world.timeline.now_ms
    saved = Saved(request_id=miss.ticket.request_id, usage=Usage(), cost_usd=None)
    fill = Fill(
        namespace=slot.namespace,
        entry=slot.entry,
        answer=answer(),
        saved=saved,
        stored_at_ms=now_ms,
        expires_at_ms=now_ms + world.random.choice((1_000, DAY_MS)),
    )
    how = world.random.random()
    if how < 0.6:
        record: Fill | FlightEnded = fill
        key = slot.entry
    else:
        failure = None if how < 0.8 else Failure(code="provider_unavailable", message="It failed.")
        record = FlightEnded(
            namespace=slot.namespace,
            entry=slot.entry,
            identity=miss.ticket.identity,
            status="failed" if failure else "ok",
            failure=failure,
            ended_at_ms=now_ms,
            given=None if failure else replace(fill, expires_at_ms=now_ms),
        )
        key = f"{slot.entry}/flight/{miss.ticket.identity}"
    world.write(CACHE, record, key=key, partition_by=slot.namespace, after_ms=world.random.randrange(3_000))


def judge(world: World) -> list[str]:
    asked = {event.ticket.identity for event in world.events(ADMITTED, Admitted)}
    done = {event.ticket.identity for event in world.events(MISSES, Miss)}
    done |= {event.ticket.identity for event in world.events(COMPLETIONS, Completion)}
    return [f"{identity} led to nothing" for identity in sorted(asked - done)] + _asked_twice(world)


def _asked_twice(world: World) -> list[str]:
    """Flights that took off while another's of the same question had not landed. An end may be written first."""
    wrong: list[str] = []
    flying: dict[str, FlightStarted] = {}
    landed: set[tuple[str, str]] = set()
    for record in _decoded(world.history):
        match record:
            case FlightStarted() if (record.entry, record.identity) not in landed:
                first = flying.get(record.entry, record)
                if first.identity != record.identity:
                    wrong.append(f"{record.identity} asked what {first.identity} was asking")
                flying[record.entry] = record
            case FlightStarted() | Invalidated():
                pass
            case Fill(again=True):
                pass
            case Fill():
                flying.pop(record.entry, None)
                landed.add((record.entry, f"acme/{record.saved.request_id}"))
            case FlightEnded():
                landed.add((record.entry, record.identity))
                if record.entry in flying and flying[record.entry].identity == record.identity:
                    del flying[record.entry]
            case _ as unreachable:
                assert_never(unreachable)
    return wrong


def _decoded(records: list[Stored]) -> list[CacheRecord]:
    events = CACHE.events
    return [] if events is None else [events.decode(stored.value or b"") for stored in records]


def picture(world: World, state: State) -> Any:
    """What is kept, and who is in the air."""
    known = cast("Any", state)
    now_ms = world.timeline.now_ms
    flying = [flight for entry in known._flights if (flight := known.flight(entry, now_ms)) is not None]
    return dict(known._fills), {flight.identity for flight in flying}


def _never(_world: World, _stored: Stored) -> bool:
    return False


CACHE_STAGE = Scenario("cache", synchronous(cache.STAGE), feed, judge, _never, picture)

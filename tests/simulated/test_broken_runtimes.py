"""The schedules can fail: each of these runtimes breaks one promise, and is found out within a few hundred seeds."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from streams.invoke.others import Others
from streams.invoke.outbox import AsyncOutbox
from streams.invoke.relearn import Learned
from streams.invoke.tenure import Tenure
from streams.invoke.work import Work
from streams.runtime.decider import Decider
from streams.runtime.envelope import Envelope
from streams.runtime.first_records import FirstRecords
from streams.runtime.frontier import Frontier, NextOffset
from streams.runtime.membership import Membership
from streams.runtime.outbox import Outbox
from streams.runtime.outcome import Record
from streams.runtime.partition import Parked, PartitionWork
from streams.runtime.restore import TableReader
from streams.runtime.worker import Worker
from tests.fakes.kafka.aio import passed
from tests.simulated.answering import POSTPROCESS
from tests.simulated.caching import CACHE_STAGE
from tests.simulated.calling import INVOKE
from tests.simulated.limiting import LIMIT
from tests.simulated.passing import ROUTE
from tests.simulated.scenario import Scenario
from tests.simulated.schedule import Schedule
from tests.simulated.world import KAFKA

WITHIN_SEEDS = 300
RARE_FROM = 780
"""Not long before one that finds it."""
SLOW_READ_S = KAFKA.session_timeout_ms / 1000 + 2
Break = Callable[[pytest.MonkeyPatch], None]


def commits_past_unfinished_events(patch: pytest.MonkeyPatch) -> None:
    def finish(frontier: Any, offset: int) -> None:
        frontier._open.remove(offset)
        frontier._next = NextOffset(max(offset + 1, frontier._next or 0))

    patch.setattr(Frontier, "finish", finish)


def does_not_wait_for_acknowledgements(patch: pytest.MonkeyPatch) -> None:
    def confirm(_outbox: Outbox, _timeout_s: float) -> bool:
        return True

    patch.setattr(Outbox, "confirm", confirm)


def does_not_wait_for_its_first_records(patch: pytest.MonkeyPatch) -> None:
    def must_wait(_first: FirstRecords, _where: object) -> bool:
        return False

    patch.setattr(FirstRecords, "must_wait", must_wait)


def restores_nothing(patch: pytest.MonkeyPatch) -> None:
    def restore(worker: Any, _starts: object) -> dict[int, int]:
        return dict.fromkeys(worker._partitions, 0)

    patch.setattr(Worker, "_restore", restore)


def believes_a_new_leader_that_it_serves_all_there_is(patch: pytest.MonkeyPatch) -> None:
    def reach(_reader: TableReader, _where: object) -> int:
        return 0

    patch.setattr(TableReader, "_reach", reach)


def begins_at_the_end_where_no_leader_could_tell_where_to(patch: pytest.MonkeyPatch) -> None:
    def offsets_since(reader: Any, times: object, within_s: float) -> object:
        return reader.offsets_for_times(times, within_s)

    patch.setattr("streams.runtime.restore.offsets_since", offsets_since)


def begins_with_whatever_configuration_a_new_leader_serves(patch: pytest.MonkeyPatch) -> None:
    def acknowledged_end(*_: object) -> int:
        return 0

    patch.setattr("streams.runtime.follower.acknowledged_end", acknowledged_end)


def forgets_whom_it_holds_back(patch: pytest.MonkeyPatch) -> None:
    def wake(_work: PartitionWork, _keys: object) -> None:
        """Nobody is."""

    def due(_work: PartitionWork, _now_ms: int) -> list[Parked]:
        return []

    patch.setattr(PartitionWork, "wake", wake)
    patch.setattr(PartitionWork, "due", due)


def drops_what_comes_while_it_waits(patch: pytest.MonkeyPatch) -> None:
    confirm = vars(Worker)["_confirm"]

    def forgetful(worker: Any, stop: threading.Event) -> None:
        confirm(worker, stop)
        worker._fetched.clear()

    patch.setattr(Worker, "_confirm", forgetful)


def does_not_ask_whether_it_still_owns_anything(patch: pytest.MonkeyPatch) -> None:
    def decide_as_of(membership: Any, _positions: object) -> int:
        return membership._now_ms()

    patch.setattr(Membership, "decide_as_of", decide_as_of)


def does_not_wait_for_its_ledger(patch: pytest.MonkeyPatch) -> None:
    async def write(outbox: Any, envelopes: Sequence[Envelope]) -> None:
        for each in envelopes:
            await outbox._producer.send(each.topic, each.value, each.key, each.partition, headers=each.headers)

    patch.setattr(AsyncOutbox, "write", write)


def forgets_what_others_completed(patch: pytest.MonkeyPatch) -> None:
    def nothing(*_: object) -> Learned:
        return Learned()

    patch.setattr("streams.invoke.others.relearn", nothing)


def hands_nothing_over(patch: pytest.MonkeyPatch) -> None:
    async def hand_over(_work: Work) -> int:
        return 0

    patch.setattr(Work, "hand_over", hand_over)


def buries_nothing(patch: pytest.MonkeyPatch) -> None:
    def bury(_decider: Decider, _delivery: object, _letter: object) -> None:
        """It is lost."""

    patch.setattr(Decider, "_bury", bury)


def tells_nobody_what_it_buries(patch: pytest.MonkeyPatch) -> None:
    def last_words(*_: object) -> tuple[Record, ...]:
        return ()

    patch.setattr(Decider, "_last_words", last_words)


def has_much_to_read_back(patch: pytest.MonkeyPatch) -> None:
    relearn = vars(Others)["relearn"]

    async def slowly(*arguments: Any) -> Any:
        await passed(SLOW_READ_S)
        return await relearn(*arguments)

    patch.setattr(Others, "relearn", slowly)


def reads_back_while_no_heartbeat_is_sent(patch: pytest.MonkeyPatch) -> None:
    has_much_to_read_back(patch)
    assigned = vars(Tenure)["on_partitions_assigned"]

    async def wait_for_it(tenure: Any, partitions: object) -> None:
        await assigned(tenure, partitions)
        await asyncio.gather(*tenure._beside)

    patch.setattr(Tenure, "on_partitions_assigned", wait_for_it)


@pytest.mark.parametrize(
    ("break_", "scenario"),
    [
        (commits_past_unfinished_events, CACHE_STAGE),
        (does_not_wait_for_acknowledgements, ROUTE),
        (does_not_wait_for_its_first_records, ROUTE),
        (does_not_wait_for_its_first_records, LIMIT),
        (restores_nothing, POSTPROCESS),
        (restores_nothing, LIMIT),
        (believes_a_new_leader_that_it_serves_all_there_is, POSTPROCESS),
        (believes_a_new_leader_that_it_serves_all_there_is, LIMIT),
        (begins_at_the_end_where_no_leader_could_tell_where_to, POSTPROCESS),
        (begins_with_whatever_configuration_a_new_leader_serves, LIMIT),
        (forgets_whom_it_holds_back, CACHE_STAGE),
        (drops_what_comes_while_it_waits, ROUTE),
        (does_not_ask_whether_it_still_owns_anything, POSTPROCESS),
        (buries_nothing, ROUTE),
        (tells_nobody_what_it_buries, POSTPROCESS),
        (does_not_wait_for_its_ledger, INVOKE),
        (forgets_what_others_completed, INVOKE),
        (hands_nothing_over, INVOKE),
        (reads_back_while_no_heartbeat_is_sent, INVOKE),
    ],
    ids=lambda value: value.name if isinstance(value, Scenario) else value.__name__,
)
def test_a_runtime_that(break_: Break, scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    break_(monkeypatch)
    assert any(Schedule(seed, scenario).run().violations for seed in range(WITHIN_SEEDS))


def test_an_invoke_that_believes_a_new_leader_that_it_serves_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """One schedule in some three hundred has a second worker read a completion back just when its leader is new."""
    believes_a_new_leader_that_it_serves_all_there_is(monkeypatch)
    assert any(Schedule(seed, INVOKE).run().violations for seed in range(RARE_FROM, RARE_FROM + 4 * WITHIN_SEEDS))


def test_much_that_is_read_back_beside_the_heartbeats_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it is the missing heartbeats that are found out above."""
    has_much_to_read_back(monkeypatch)
    assert not [seed for seed in range(8) if Schedule(seed, INVOKE).run().violations]

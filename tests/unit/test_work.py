"""What becomes of a call whose partition went to another worker: told, booked, and in nobody's way."""

import asyncio
import itertools
from contextlib import nullcontext, suppress

import pytest
from aiokafka.errors import KafkaTimeoutError
from msgspec.structs import replace

from schemas.call import CallRow
from schemas.flow import HandedOver, Round
from streams.cost.ledger import FREE
from streams.invoke.calling import ALLOWANCE_MS
from streams.providers.protocol import ProviderError, Reply
from streams.runtime.delivery import Delivery
from streams.runtime.spill import SpilledError
from streams.settings import WorkerSettings
from tests.fakes.provider import saying
from tests.unit.calling import BUSY, CALL_MS, LOST, world
from tests.unit.examples import NOW_MS, attempt, control, deployment, dispatch, ticket
from tests.unit.working import LIMIT_S, TIMEOUT_MS, Bench, Unheard, bench


@pytest.mark.asyncio
async def test_an_answer_that_comes_after_the_partition_was_lost_is_written_for_it_was_paid() -> None:
    lost = bench(saying("Yes."))
    lost.during(lost.work.lose)

    assert await lost.do(dispatch())

    assert lost.written.shape == ["started 1", "ok"]


@pytest.mark.asyncio
async def test_each_round_of_a_request_is_called_for_once() -> None:
    here = bench(saying("Hm."), saying("Yes."))
    second = replace(dispatch(), round=Round(number=1, attempts=(attempt(),)))

    assert [await here.do(asked) for asked in (dispatch(), second, dispatch(), second)] == [True] * 4

    assert here.written.shape == ["started 1", "ok", "started 2", "ok"]


@pytest.mark.asyncio
async def test_what_is_told_of_a_later_round_is_not_about_the_first() -> None:
    here = bench(saying("Yes."))
    here.during(here.work.hand_over)
    second = replace(dispatch(), round=Round(number=1, attempts=(attempt(),)))

    assert await here.do(second)

    (told,) = (event for event in here.written.events if isinstance(event, HandedOver))
    assert told.identity == second.round_name != dispatch().round_name


@pytest.mark.asyncio
async def test_a_failure_that_comes_after_the_partition_was_lost_is_booked_and_told_to_nobody() -> None:
    """The new owner asks too, and may have an answer."""
    lost = bench(LOST)
    lost.during(lost.work.lose)

    assert not await lost.do(dispatch(max_attempts=1))

    assert lost.written.shape == ["started 1", "settled 1"]
    row = lost.written.events[-1]
    assert isinstance(row, CallRow)
    assert (row.cost.status, row.cost.total_usd) == ("unknown_billable", None)


@pytest.mark.asyncio
@pytest.mark.parametrize(("is_handed_over", "ends"), [(False, []), (True, ["handed over", "stopped"])])
async def test_a_bug_that_shows_after_the_partition_was_lost_is_told_to_nobody_either(
    *, is_handed_over: bool, ends: list[str]
) -> None:
    lost = bench(saying("Yes."))

    async def lose_and_fail() -> None:
        lost.work.lose()
        if is_handed_over:
            await lost.work.hand_over()
        raise RuntimeError("a bug of ours")

    lost.during(lose_and_fail)

    assert not await lost.do(dispatch())

    assert lost.written.shape == ["started 1", *ends]


@pytest.mark.asyncio
async def test_after_the_partition_was_lost_nothing_is_begun() -> None:
    lost = bench(BUSY, saying("Yes."))
    lost.during(lost.work.lose)

    assert not await lost.do(dispatch(max_attempts=3))

    assert lost.written.shape == ["started 1", "settled 1"]
    assert len(lost.here.providers["openai-1"].asked) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(("looks", "shape"), [(1, []), (2, ["started 1", "settled 1"])])
async def test_whoever_stood_still_before_it_asked_does_not_ask(looks: int, shape: list[str]) -> None:
    frozen, beats = bench(saying("Yes.")), itertools.count(1)
    frozen.pulse_s = lambda: LIMIT_S + 1 if next(beats) >= looks else 0

    assert not await frozen.do(dispatch())

    assert frozen.written.shape == shape
    assert frozen.here.providers["openai-1"].asked == []
    for row in frozen.written.events:
        assert isinstance(row, CallRow)
        assert row.phase == "started" or row.cost == FREE


@pytest.mark.asyncio
async def test_what_is_handed_over_ends_here_with_all_its_attempts_and_each_is_told_before_it_begins() -> None:
    moved = bench(BUSY, saying("Yes."))
    moved.during(moved.work.hand_over)

    await moved.do(dispatch(max_attempts=3, timeout_ms=TIMEOUT_MS))

    assert moved.written.shape == ["started 1", "handed over", "settled 1", "handed over", "started 2", "ok"]
    first, second = (event for event in moved.written.events if isinstance(event, HandedOver))
    assert (first.identity, first.worker) == ("acme/r-1", "me")
    assert first.until_ms == NOW_MS + TIMEOUT_MS + ALLOWANCE_MS
    (pause_ms,) = moved.here.naps_ms
    assert second.until_ms == first.until_ms + CALL_MS + pause_ms


@pytest.mark.asyncio
async def test_what_is_handed_over_is_waited_for_no_longer_than_its_deadline_allows() -> None:
    moved = bench(saying("Yes."))
    moved.during(moved.work.hand_over)

    await moved.do(dispatch(ticket_=ticket(deadline_ms=NOW_MS + 900), timeout_ms=TIMEOUT_MS))

    (told,) = (event for event in moved.written.events if isinstance(event, HandedOver))
    assert told.until_ms == NOW_MS + 900 + ALLOWANCE_MS


@pytest.mark.asyncio
async def test_a_failure_that_the_new_owner_waits_for_is_told() -> None:
    moved = bench(LOST)
    moved.during(moved.work.hand_over)

    await moved.do(dispatch(max_attempts=1))

    assert moved.written.shape == ["started 1", "handed over", "failed"]


@pytest.mark.asyncio
async def test_what_outlasted_the_time_it_was_handed_over_for_is_another_workers_by_now() -> None:
    moved = bench(LOST, saying("Yes."))

    async def hand_over_and_freeze() -> None:
        await moved.work.hand_over()
        moved.here.now_ms += TIMEOUT_MS + ALLOWANCE_MS + 1

    moved.during(hand_over_and_freeze)
    assert not await moved.do(dispatch(max_attempts=3, timeout_ms=TIMEOUT_MS))

    assert moved.written.shape == ["started 1", "handed over", "settled 1", "stopped"]


@pytest.mark.asyncio
@pytest.mark.parametrize(("step", "ends"), [(saying("Yes."), ["ok"]), (LOST, ["settled 1", "stopped"])])
async def test_what_was_lost_is_handed_over_late_for_its_next_owner_may_not_have_called_yet(
    step: Reply | ProviderError, ends: list[str]
) -> None:
    lost = bench(step)

    async def lose_and_hand_over() -> None:
        lost.work.lose()
        assert await lost.work.hand_over() == 1

    lost.during(lose_and_hand_over)
    await lost.do(dispatch(max_attempts=1))

    assert lost.written.shape == ["started 1", "handed over", *ends]


@pytest.mark.asyncio
async def test_what_the_broker_would_not_take_a_handover_of_is_lost_for_its_next_owner_calls_for_it_too() -> None:
    moved = bench(LOST, saying("Yes."))

    def refuse() -> None:
        raise KafkaTimeoutError

    async def hand_over_in_vain() -> None:
        moved.written.takes = refuse
        with pytest.raises(KafkaTimeoutError):
            await moved.work.hand_over()
        moved.written.takes = lambda: None

    moved.during(hand_over_in_vain)
    assert not await moved.do(dispatch(max_attempts=3))

    assert moved.written.shape == ["started 1", "settled 1", "stopped"]


@pytest.mark.asyncio
async def test_what_took_long_to_be_on_the_ledger_is_handed_over_for_all_the_time_its_call_may_last() -> None:
    slow = bench(saying("Yes."))

    async def hand_over_at_once() -> None:
        slow.written.takes = lambda: None
        await slow.work.hand_over()

    slow.during(hand_over_at_once)
    slow.written.takes = lambda: setattr(slow.here, "now_ms", NOW_MS + 3_000)
    await slow.do(dispatch(timeout_ms=TIMEOUT_MS))

    (told,) = (event for event in slow.written.events if isinstance(event, HandedOver))
    assert told.until_ms == NOW_MS + 3_000 + TIMEOUT_MS + ALLOWANCE_MS


@pytest.mark.asyncio
async def test_whoever_was_cut_off_while_it_wrote_that_it_would_ask_does_not_ask() -> None:
    cut = bench(saying("Yes."))
    cut.written.takes = lambda: setattr(cut, "pulse_s", lambda: LIMIT_S + 1)

    assert not await cut.do(dispatch())

    assert cut.written.shape == ["started 1", "settled 1"]
    assert cut.here.providers["openai-1"].asked == []


@pytest.mark.asyncio
async def test_rows_that_are_long_in_writing_lose_a_worker_nothing_that_the_group_counts_on() -> None:
    slow = bench(saying("Yes."), saying("Yes."))
    slow.written.takes = lambda: setattr(slow.here, "now_ms", slow.here.now_ms + 10 * round(LIMIT_S * 1000))

    for number in range(2):
        assert await slow.do(dispatch(ticket_=ticket(f"r-{number}")))

    assert slow.losses == 0


@pytest.mark.asyncio
async def test_however_many_calls_find_that_their_worker_was_cut_off_that_is_one_loss() -> None:
    cut = bench(saying("Yes."), saying("Yes."), saying("Yes."))
    cut.written.takes = lambda: setattr(cut, "pulse_s", lambda: LIMIT_S + 1)

    await asyncio.gather(*(cut.do(dispatch(ticket_=ticket(f"r-{number}"))) for number in range(3)))

    assert cut.losses == 1


@pytest.mark.asyncio
async def test_what_was_handed_over_is_not_lost_when_the_worker_stands_still_and_not_handed_over_twice() -> None:
    moved = bench(LOST)

    async def move_twice() -> None:
        assert await moved.work.hand_over() == 1
        moved.work.lose()
        assert await moved.work.hand_over() == 0

    moved.during(move_twice)
    await moved.do(dispatch(max_attempts=1))

    assert moved.written.shape == ["started 1", "handed over", "failed"]


@pytest.mark.asyncio
@pytest.mark.parametrize("is_handed_over", [True, False])
async def test_a_call_that_is_cut_is_given_up_to_whoever_waits_for_it(*, is_handed_over: bool) -> None:
    moved, asked = bench(saying("Yes.")), asyncio.Event()

    async def hang() -> None:
        if is_handed_over:
            await moved.work.hand_over()
        asked.set()
        await asyncio.Event().wait()

    moved.during(hang)
    task = asyncio.create_task(moved.do(dispatch()))
    async with asyncio.timeout(5):
        await asked.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task

    assert moved.written.shape == ["started 1", *(["handed over", "stopped"] if is_handed_over else [])]
    assert task.cancelled()


@pytest.mark.asyncio
async def test_a_call_that_is_cut_while_its_completion_is_being_written_is_not_given_up() -> None:
    written = Unheard()
    moved = Bench(world(saying("Yes."), control=control(deployment())), written)
    moved.during(moved.work.hand_over)
    task = asyncio.create_task(moved.do(dispatch()))
    async with asyncio.timeout(5):
        await written.has_completion.wait()

    task.cancel()
    await asyncio.wait([task])

    assert written.shape == ["started 1", "handed over", "ok"]
    assert task.cancelled()


@pytest.mark.asyncio
async def test_a_worker_that_can_read_nothing_stops_before_it_buries_one_more_than_it_may() -> None:
    broken = bench()
    letters = WorkerSettings().spill_letters
    for offset in range(letters):
        assert await broken.work.do(Delivery("llm.dispatch.low", 0, offset, None, b"?", (), NOW_MS), nullcontext)

    with pytest.raises(SpilledError, match=f"{letters} of its last {letters} events"):
        await broken.work.do(Delivery("llm.dispatch.low", 0, letters, None, b"?", (), NOW_MS), nullcontext)

    assert broken.written.dead_letters == letters

"""Who waits says for what, and has written nothing when it is set back."""

from contextlib import AbstractContextManager, nullcontext

import pytest
from msgspec.structs import replace

from streams.control import with_object
from streams.invoke.beside import Awaits, SetBackError
from streams.runtime.delivery import Delivery
from tests.fakes.provider import saying
from tests.unit.calling import BUSY
from tests.unit.examples import NOW_MS, breaker, deployment, dispatch
from tests.unit.working import bench


@pytest.mark.asyncio
async def test_who_is_set_back_has_written_nothing_and_is_done_as_ever_when_it_is_begun_again() -> None:
    here = bench(saying("Yes."))
    shut = with_object(here.here.control, breaker("openai-1", until_ms=NOW_MS + 60_000), 2)
    open_, here.here.control = here.here.control, shut
    delivery = Delivery("llm.dispatch.normal", 0, 7, b"r-1", dispatch().encode(), (), NOW_MS)

    def set_back(awaits: Awaits) -> AbstractContextManager[None]:
        assert awaits == Awaits(("openai-1",), is_new=True)
        raise SetBackError

    with pytest.raises(SetBackError):
        await here.work.do(delivery, set_back)
    assert (here.written.shape, len(here.work.calling())) == ([], 0)
    here.here.control = open_

    assert await here.work.do(delivery, set_back)
    assert here.written.shape == ["started 1", "ok"]


@pytest.mark.asyncio
async def test_who_has_asked_in_vain_says_so_when_it_waits() -> None:
    here = bench(BUSY, saying("Yes."))
    waits: list[Awaits] = []

    def aside(awaits: Awaits) -> AbstractContextManager[None]:
        waits.append(awaits)
        return nullcontext()

    delivery = Delivery("llm.dispatch.normal", 0, 7, b"r-1", dispatch().encode(), (), NOW_MS)
    assert await here.work.do(delivery, aside)

    assert set(waits) == {Awaits(("openai-1",), is_new=False)}


@pytest.mark.asyncio
async def test_who_may_ask_the_same_in_another_order_waits_for_the_same() -> None:
    """Chance draws the order of a weighted route: each of them would have its own share of the room beside the lane."""
    waits: set[Awaits] = set()

    def set_back(awaits: Awaits) -> AbstractContextManager[None]:
        waits.add(awaits)
        raise SetBackError

    for order in (("openai-1", "openai-2"), ("openai-2", "openai-1")):
        here = bench(saying("Yes."))
        for name in order:
            here.here.control = with_object(here.here.control, deployment(name), 2)
            here.here.control = with_object(here.here.control, breaker(name, until_ms=NOW_MS + 60_000), 3)
        value = dispatch(*order).encode()
        with pytest.raises(SetBackError):
            await here.work.do(Delivery("llm.dispatch.normal", 0, 7, b"r-1", value, (), NOW_MS), set_back)

    assert waits == {Awaits(("openai-1", "openai-2"), is_new=True)}


@pytest.mark.asyncio
async def test_who_waits_waits_for_no_judge() -> None:
    """Nobody is asked there for an answer, so that it is no other thing to wait for."""
    waits: set[Awaits] = set()

    def set_back(awaits: Awaits) -> AbstractContextManager[None]:
        waits.add(awaits)
        raise SetBackError

    here = bench(saying("Yes."))
    here.here.control = with_object(here.here.control, breaker("openai-1", until_ms=NOW_MS + 60_000), 2)
    asked = dispatch("openai-1", "judge")
    value = replace(asked, plan=replace(asked.plan, judge_from=1)).encode()
    with pytest.raises(SetBackError):
        await here.work.do(Delivery("llm.dispatch.normal", 0, 7, b"r-1", value, (), NOW_MS), set_back)

    assert waits == {Awaits(("openai-1",), is_new=True)}

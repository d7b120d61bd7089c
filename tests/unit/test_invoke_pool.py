"""What becomes of events that a worker has taken and lets go."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from streams.invoke.beside import Aside, Awaits
from streams.invoke.lanes import Lanes
from streams.invoke.pool import Pool, ended_within
from tests.unit.examples import NOW_MS


class Prompt:
    """Something large."""


@pytest.fixture
def uncollected() -> Iterator[None]:
    """What is in a circle stays."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.asyncio
@pytest.mark.usefixtures("uncollected")
async def test_what_is_let_go_takes_no_memory_from_then_on() -> None:
    problems: list[BaseException] = []
    pool = Pool(Lanes({"high": 1, "normal": 1, "low": 1}), lambda: NOW_MS, problems.append)
    waits = asyncio.Event()
    held: list[weakref.ref[Prompt]] = []

    async def do(aside: Aside) -> bool:
        prompt, me = Prompt(), asyncio.current_task()
        held.append(weakref.ref(prompt))
        async with asyncio.timeout(60):
            with aside(Awaits("openai-1", is_new=True)):
                waits.set()
                await asyncio.get_running_loop().create_future()
        return me is None

    pool.take("normal", b"", do, lambda: None)
    await waits.wait()
    assert await ended_within(5, pool.let_go(()))

    assert len(pool) == 0
    assert [prompt() for prompt in held] == [None]
    assert problems == []


@pytest.mark.asyncio
async def test_what_is_let_go_before_it_began_is_not_begun() -> None:
    begun: list[str] = []
    pool = Pool(Lanes({"high": 1, "normal": 1, "low": 1}), lambda: NOW_MS, lambda problem: begun.append(repr(problem)))

    async def do(_aside: Aside) -> bool:
        begun.append("call")
        return True

    pool.take("normal", b"", do, lambda: begun.append("finished"))
    assert await ended_within(5, pool.let_go(()))

    assert len(pool) == 0
    assert begun == []

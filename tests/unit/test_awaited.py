"""What is said of tasks that wait."""

import asyncio

import pytest

from streams.observe.awaited import awaited


async def _inner(forever: asyncio.Future[None], waits: asyncio.Event, prompt: str) -> None:
    waits.set()
    await forever
    raise AssertionError(prompt)


async def _outer(forever: asyncio.Future[None], waits: asyncio.Event) -> None:
    await _inner(forever, waits, "a prompt nobody may read")


@pytest.mark.asyncio
async def test_a_task_that_waits_is_told_by_its_functions_and_lines_and_by_nothing_that_is_in_them() -> None:
    forever: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waits = asyncio.Event()
    task = asyncio.create_task(_outer(forever, waits))
    await waits.wait()

    (line,) = awaited([task])
    assert [where.partition(":")[0] for where in line.split(" > ")] == ["_outer", "_inner", "FutureIter"]
    assert "prompt" not in line

    task.cancel()
    await asyncio.wait([task])
    assert awaited([task]) == []

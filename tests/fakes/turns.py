"""Lets whoever else has something to do on the loop do it. No time passes: it is for what no condition could tell."""

import asyncio


async def turns(count: int = 1) -> None:
    for _ in range(count):
        await asyncio.sleep(0)

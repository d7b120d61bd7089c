"""Asks a gateway that is called directly: over HTTP, so many at once at most."""

import asyncio
import time
from collections import Counter
from typing import Any

import aiohttp

from schemas.base import load_json
from scripts.bench.cpu import taken
from scripts.bench.figure import quantile
from scripts.bench.load.job import Answered, Heard, Job, OverHttp
from scripts.bench.mix import number_of, requests


def ask(job: Job, door: OverHttp) -> Heard:
    return asyncio.run(_ask(job, door))


async def _ask(job: Job, door: OverHttp) -> Heard:
    places = asyncio.Semaphore(door.in_flight)
    statuses: Counter[str] = Counter()
    answers: list[Answered] = []
    late_ms: list[float] = []
    bodies = [(number_of(sent.request_id), _body(sent.value)) for sent in requests(job.mix)]
    timeout = aiohttp.ClientTimeout(total=job.quiet_s)
    headers = {"authorization": f"Bearer {door.key}"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, headers=headers, connector=connector) as session:
        before, started_s = taken(job.pids), time.monotonic()

        async def one(number: int, body: dict[str, Any]) -> None:
            due_s = job.due_s[number]
            await asyncio.sleep(started_s + due_s - time.monotonic())
            async with places:
                late_ms.append((time.monotonic() - started_s - due_s) * 1000)
                try:
                    async with session.post(door.url, json=body) as response:
                        await response.read()
                        status = "ok" if response.ok else str(response.status)
                except (aiohttp.ClientError, TimeoutError) as error:
                    status = type(error).__name__
            statuses[status] += 1
            latency_ms = (time.monotonic() - started_s - due_s) * 1000
            answers.append(Answered(number=number, due_s=due_s, latency_ms=latency_ms))

        async with asyncio.TaskGroup() as asking:
            for number, body in bodies:
                asking.create_task(one(number, body))
        wall_s, after = time.monotonic() - started_s, taken(job.pids)
    return Heard(
        sent=job.mix.count,
        answered=statuses["ok"],
        repeated=0,
        statuses=dict(statuses),
        wall_s=wall_s,
        answers_after_s=wall_s,
        cpu_s={name: after[name] - before[name] for name in before},
        generator_late_ms=quantile(late_ms, 0.99),
        answers=sorted(answers, key=lambda each: each.number) if job.is_detailed else [],
    )


def _body(value: bytes) -> dict[str, Any]:
    event: Any = load_json(value)
    return {"model": event["model"], "messages": event["messages"], **event["params"]}

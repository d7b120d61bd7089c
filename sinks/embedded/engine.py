"""The engine's threads: requests go in, outcomes come out, and nothing but these threads touches the engine.

Each thread is confined before its first call (see `sandbox`), and the threads the engine starts inherit that. Each
request has a connection of its own, so that the settings of one are never those of another.
"""

import asyncio
import os
import sysconfig
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import orjson

from sinks.embedded.configuration import CONFIGURATION_PATH, ENGINE_PATH, SCRATCH_PATH, Limits
from sinks.embedded.connection import Connection, Outcome
from sinks.embedded.job import Job, decode_body, run, understand
from sinks.embedded.request import QueryRequest
from sinks.embedded.sandbox import SandboxUnavailableError, confine_thread

T = TypeVar("T")

_SPARE_THREADS = 2
_READABLE = (
    "/usr/lib /usr/lib64 /lib /lib64 /etc/ld.so.cache /etc/localtime /usr/share/zoneinfo"
    " /proc/meminfo /proc/cpuinfo /proc/stat /proc/sys /sys/fs/cgroup /sys/devices/system /sys/kernel/mm"
    " /dev/null /dev/random /dev/urandom"
)


@dataclass(frozen=True, slots=True)
class OutputFormat:
    name: str
    content_type: str


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What stays true while the engine runs. `sandbox` says how far the kernel confines it."""

    version: str
    formats: Mapping[str, OutputFormat]
    sandbox: str


class Engine:
    """One per process, in a directory that is the working directory of the process and claimed by it."""

    def __init__(self, directory: Path, limits: Limits) -> None:
        self._directory = directory
        self._body_bytes = limits.body_bytes
        self._sandbox = ""
        self._anchor: Connection | None = None
        self._threads = ThreadPoolExecutor(
            limits.reads_at_once + limits.writes_at_once + _SPARE_THREADS, "engine", initializer=self._confine
        )

    async def start(self) -> EngineFacts:
        """Raises ClickHouseError when the engine cannot open its data."""
        return await self._in_thread(self._start)

    async def understand(self, request: QueryRequest, body: bytes) -> Job:
        """Raises ClickHouseError for a damaged body, a syntax error and what is not allowed over HTTP."""
        return await self._in_thread(lambda: self._understand(request, body))

    async def run(self, job: Job, finish: Callable[[Outcome], T]) -> T:
        """`finish` is called in the engine's thread, where the time it takes disturbs nobody else."""
        return await self._in_thread(lambda: finish(self._run(job)))

    async def cancel(self, query_id: str) -> None:
        """Ends the statements of that id, soon: they fail with QUERY_WAS_CANCELLED."""
        await self._in_thread(lambda: self._kill("Settings['log_comment'] = {id:String}", {"id": query_id}))

    async def stop(self, within_s: float) -> bool:
        """Cancel what still runs and close. False when the engine did not end in time: then only the process can."""
        try:
            async with asyncio.timeout(within_s):
                await self._in_thread(lambda: self._kill("Settings['log_comment'] != ''", {}))
                await asyncio.to_thread(self._threads.shutdown)
        except TimeoutError:
            return False
        if self._anchor is not None:
            self._anchor.close()
        return True

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _confine(self) -> None:
        paths = sysconfig.get_paths()
        libraries = [Path(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
        try:
            abi = confine_thread(writable=[self._directory], readable=[*libraries, *map(Path, _READABLE.split())])
        except SandboxUnavailableError as error:
            self._sandbox = f"none: {error}"
        else:
            self._sandbox = f"Landlock {abi}"

    def _start(self) -> EngineFacts:
        # For the engine only, which reads the process environment and not Python's copy of it: no configuration of the
        # user's `clickhouse-local`, no files outside the directory, and no time zone of the host.
        scratch = str(self._directory / SCRATCH_PATH)
        for name, value in {"HOME": scratch, "TMPDIR": scratch, "TZ": "UTC"}.items():
            os.putenv(name, value)
        self._anchor = self._connect()
        version = bytes(self._anchor.query(b"SELECT version()", "TSVRaw").data).decode().strip()
        formats = self._anchor.query(b"SELECT name, content_type FROM system.formats WHERE is_output", "JSONCompact")
        return EngineFacts(
            version=version,
            formats={
                name.lower(): OutputFormat(name, content_type)
                for name, content_type in orjson.loads(formats.data)["data"]
            },
            sandbox=self._sandbox,
        )

    def _connect(self) -> Connection:
        return Connection.open(ENGINE_PATH, CONFIGURATION_PATH)

    def _understand(self, request: QueryRequest, body: bytes) -> Job:
        body = decode_body(request, body, self._body_bytes)
        with self._connect() as connection:
            return understand(connection, request, body)

    def _run(self, job: Job) -> Outcome:
        with self._connect() as connection:
            return run(connection, job)

    def _kill(self, condition: str, parameters: Mapping[str, str]) -> None:
        with self._connect() as connection:
            connection.query(f"KILL QUERY WHERE {condition} ASYNC".encode(), "Null", parameters)

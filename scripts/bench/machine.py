"""What the numbers were measured on, and with."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

_PACKAGES: Final = (
    *("aiohttp", "aiokafka", "anthropic", "chdb", "clickhouse-connect", "confluent-kafka", "faust-streaming"),
    *("genai-prices", "openai", "orjson", "pydantic"),
)


def machine() -> dict[str, Any]:
    """`load_average` is that of the minute before the run: above the cores, somebody else was at work too."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _model(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 2),
        "versions": {name: version(name) for name in _PACKAGES},
    }


def _model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()

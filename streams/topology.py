"""The pipeline: every stage, in the order in which a request meets them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from schemas.topics import CALLS, COMPLETIONS, DISPATCH, HANDOVERS, Topic
from streams.runtime.stage import Stage
from streams.stages import cache, limit, postprocess, route, validate

SYNCHRONOUS: Mapping[str, Stage[Any, Any]] = MappingProxyType(
    {stage.name: stage for stage in (validate.STAGE, limit.STAGE, cache.STAGE, route.STAGE, postprocess.STAGE)}
)
"""Decided in batches by `streams.runtime.worker`."""

INVOKE_READS: tuple[Topic, ...] = tuple(DISPATCH.values())
INVOKE_WRITES: tuple[Topic, ...] = (COMPLETIONS, CALLS, HANDOVERS)
"""`invoke` waits on providers and runs on its own loop, `streams.invoke.worker`."""

"""The pipeline: every stage, in the order in which a request meets them."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

from schemas.topics import CALLS, COMPLETIONS, DISPATCH, HANDOVERS, Topic
from streams.observe.likeness import tell_likeness
from streams.runtime.stage import Stage
from streams.semantic.local import LOCAL
from streams.stages import cache, limit, postprocess, route, validate
from streams.state.kept_answers import KeptAnswers

_CACHE = replace(cache.STAGE, state=partial(KeptAnswers, embedder=LOCAL), measure=tell_likeness)
"""A decision knows an embedder when it is given one."""

SYNCHRONOUS: Mapping[str, Stage[Any, Any]] = MappingProxyType(
    {stage.name: stage for stage in (validate.STAGE, limit.STAGE, _CACHE, route.STAGE, postprocess.STAGE)}
)
"""Decided in batches by `streams.runtime.worker`."""

INVOKE_READS: tuple[Topic, ...] = tuple(DISPATCH.values())
INVOKE_WRITES: tuple[Topic, ...] = (COMPLETIONS, CALLS, HANDOVERS)
"""`invoke` waits on providers and runs on its own loop, `streams.invoke.worker`."""

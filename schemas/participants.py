"""Who writes and who reads each topic: the edges of the graph, for the published document and for access lists."""

from dataclasses import dataclass
from typing import Literal, get_args

from schemas import topics
from schemas.flow import StageName
from schemas.topics import Topic

Part = Literal[StageName, "sink", "watch"]
Outsider = Literal["producer", "service", "operator"]

STAGES: tuple[StageName, ...] = get_args(StageName)
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True, slots=True)
class Traffic:
    """`readers` are consumer groups: each record is handled by one member, and its offset is committed.

    `followers` commit nothing: they read back as far as they need to rebuild what they know, and then read on.
    """

    topic: Topic
    writers: tuple[Part | Outsider, ...]
    readers: tuple[Part | Outsider, ...] = ()
    followers: tuple[Part, ...] = ()


TRAFFIC = (
    Traffic(topics.REQUESTS, writers=("producer",), readers=("validate",)),
    Traffic(topics.VALIDATED, writers=("validate",), readers=("limit",)),
    Traffic(topics.DEFERRED, writers=("limit",), readers=("limit",)),
    Traffic(topics.ADMITTED, writers=("limit",), readers=("cache",)),
    Traffic(topics.CACHE, writers=("cache", "postprocess", "operator"), followers=("cache",)),
    Traffic(topics.MISSES, writers=("cache",), readers=("route",)),
    *(Traffic(topic, writers=("route", "postprocess"), readers=("invoke",)) for topic in topics.DISPATCH.values()),
    Traffic(
        topics.COMPLETIONS,
        writers=tuple(stage for stage in STAGES if stage != "postprocess"),
        readers=("postprocess",),
        followers=("invoke",),
    ),
    Traffic(topics.HANDOVERS, writers=("invoke",), followers=("invoke",)),
    Traffic(topics.RESPONSES, writers=("postprocess",), readers=("service",), followers=("postprocess",)),
    Traffic(topics.NOTICES, writers=("limit",), readers=("service",)),
    Traffic(topics.CALLS, writers=("invoke", "postprocess"), readers=("limit", "sink", "watch")),
    Traffic(topics.ACCOUNTS, writers=("limit",), followers=("limit",)),
    Traffic(topics.BUDGETS, writers=("limit",), followers=("limit",)),
    Traffic(
        topics.CONTROL,
        writers=("operator", "watch"),
        followers=(*STAGES, "watch"),
    ),
    Traffic(topics.ALERTS, writers=("limit", "watch"), readers=("operator",)),
    Traffic(topics.AUDIT, writers=("operator",), readers=("operator",)),
    Traffic(topics.DEAD_LETTERS, writers=PARTS, readers=("operator",)),
)


def topics_of(part: Part) -> tuple[Topic, ...]:
    """All that it reads, follows or writes."""
    return tuple(each.topic for each in TRAFFIC if part in (*each.writers, *each.readers, *each.followers))

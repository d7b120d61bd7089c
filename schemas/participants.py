"""Who writes and who reads each topic: the edges of the graph, for the published document and for access lists."""

from dataclasses import dataclass
from typing import Literal, get_args

from schemas import topics
from schemas.flow import StageName
from schemas.topics import Topic

Part = Literal[StageName, "sink", "watch"]
Outsider = Literal["producer", "service", "operator", "redriver"]
"""`redriver` gives dead letters back between the stages, where nobody else from outside may write: a name of its own,
so that an operator need not have that right at all times.
"""

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
    Traffic(topics.VALIDATED, writers=("validate", "redriver"), readers=("limit",)),
    Traffic(topics.DEFERRED, writers=("limit", "redriver"), readers=("limit",)),
    Traffic(topics.ADMITTED, writers=("limit", "redriver"), readers=("cache",)),
    Traffic(topics.CACHE, writers=("cache", "postprocess", "operator"), followers=("cache",)),
    Traffic(topics.MISSES, writers=("cache", "redriver"), readers=("route",)),
    *(
        Traffic(topic, writers=("route", "postprocess", "redriver"), readers=("invoke",))
        for topic in topics.DISPATCH.values()
    ),
    Traffic(
        topics.COMPLETIONS,
        writers=(*(stage for stage in STAGES if stage != "postprocess"), "redriver"),
        readers=("postprocess",),
        followers=("invoke",),
    ),
    Traffic(topics.HANDOVERS, writers=("invoke",), followers=("invoke",)),
    Traffic(topics.RESPONSES, writers=("postprocess",), readers=("service",), followers=("postprocess",)),
    Traffic(topics.NOTICES, writers=("limit",), readers=("service",)),
    Traffic(topics.CALLS, writers=("invoke", "postprocess", "redriver"), readers=("limit", "sink", "watch")),
    Traffic(topics.ACCOUNTS, writers=("limit",), followers=("limit",)),
    Traffic(topics.BUDGETS, writers=("limit",), followers=("limit",)),
    Traffic(
        topics.CONTROL,
        writers=("operator", "watch"),
        readers=("redriver",),
        followers=(*STAGES, "watch"),
    ),
    Traffic(topics.ALERTS, writers=("limit", "watch"), readers=("operator",)),
    Traffic(topics.AUDIT, writers=("operator", "redriver"), readers=("operator", "redriver")),
    Traffic(topics.DEAD_LETTERS, writers=PARTS, readers=("operator", "redriver")),
)


def topics_of(part: Part) -> tuple[Topic, ...]:
    """All that it reads, follows or writes."""
    return tuple(each.topic for each in TRAFFIC if part in (*each.writers, *each.readers, *each.followers))

"""Whether the group still counts on this worker, known and not assumed: a commit that the group took is the proof.

A member's partitions go to nobody else before its session has run out, which each commit begins anew. A decision dated
at most `holds_ms` after that proof is void, because brokers refuse what it leads to, before that can have happened.
"""

from collections.abc import Callable, Mapping

from streams.runtime.commit import Where, commit
from streams.runtime.kafka import GroupConsumer


class Membership:
    def __init__(self, consumer: GroupConsumer, holds_ms: int, now_ms: Callable[[], int]) -> None:
        self._consumer = consumer
        self._holds_ms = holds_ms
        self._now_ms = now_ms
        self._proved_ms = -holds_ms

    def commit(self, offsets: Mapping[Where, int]) -> bool:
        """As `streams.runtime.commit.commit`."""
        asked_ms = self._now_ms()
        taken = commit(self._consumer, offsets)
        if taken:
            self._proved_ms = asked_ms
        return taken

    def decide_as_of(self, committed: Mapping[Where, int]) -> int | None:
        """The time to date decisions with, which is now; None when the group does not say that we are in it.

        `committed` are our positions: one is committed once more when nothing else was for a while. A quiet worker does
        so before it has to, so that the next event need not wait for it.
        """
        if committed and self._now_ms() - self._proved_ms > self._holds_ms // 2:
            self.commit(dict([max(committed.items(), key=lambda position: position[1])]))
        now_ms = self._now_ms()  # read once: it is this very time that the proof must not be older than
        return now_ms if now_ms - self._proved_ms <= self._holds_ms else None

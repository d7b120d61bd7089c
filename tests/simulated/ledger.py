"""What may never be, watched while a schedule runs: every record as it is written, every commit as it is accepted."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from schemas.topics import COMPLETIONS, DEAD_LETTERS, RESPONSES, Topic
from streams.settings import KafkaSettings
from tests.fakes.kafka.cluster import Cluster
from tests.fakes.kafka.log import Stored, Where
from tests.simulated.world import Unfit

Position = tuple[str, int, int]
"""Topic, partition and offset of a record."""


class Ledger:
    """`outcomes`: topics on which a record ends an input; all, when none is named.
    `leaves_nothing`: says of an input that needs no record to be finished, because an earlier one did its work.
    `unfit`: of an input that cannot be handled: it is finished when it is buried and its requester is told.
    """

    def __init__(
        self,
        cluster: Cluster,
        kafka: KafkaSettings,
        outcomes: Sequence[Topic],
        leaves_nothing: Callable[[Stored], bool],
        unfit: Callable[[Stored], Unfit | None],
    ) -> None:
        self._cluster = cluster
        self._outcomes = frozenset(kafka.topic(topic) for topic in (*outcomes, DEAD_LETTERS)) if outcomes else None
        self._dead_letters = kafka.topic(DEAD_LETTERS)
        self._leaves_nothing = leaves_nothing
        self._unfit = unfit
        self._ends = frozenset(kafka.topic(topic) for topic in (COMPLETIONS, RESPONSES))
        self.buried: dict[Position, list[Stored]] = defaultdict(list)
        self.told: dict[Position, list[Stored]] = defaultdict(list)
        self._committed: dict[tuple[str, Where], int] = defaultdict(int)
        self.caused: dict[Position, int] = defaultdict(int)
        self.violations: list[str] = []
        cluster.on_append.append(self._appended)
        cluster.on_commit.append(self._accepted)

    def _appended(self, stored: Stored) -> None:
        cause = self._cause(stored)
        if cause is not None and stored.topic == self._dead_letters:
            self.buried[cause].append(stored)
        elif cause is not None and stored.topic in self._ends:
            self.told[cause].append(stored)
        if cause is not None and (self._outcomes is None or stored.topic in self._outcomes):
            self.caused[cause] += 1

    def _cause(self, stored: Stored) -> Position | None:
        """Which record it was written for, as its headers say."""
        headers = dict(stored.headers)
        if stored.topic == self._dead_letters:
            topic, partition, offset = (
                headers[f"millrace-{name}"].decode() for name in ("topic", "partition", "offset")
            )
        elif "ce_id" in headers:
            topic, partition, offset, _ = headers["ce_id"].decode().rsplit("/", 3)
        else:
            return None
        return topic, int(partition), int(offset)

    def _accepted(self, group: str, offsets: Mapping[Where, int]) -> None:
        for where, offset in offsets.items():
            before = self._committed[group, where]
            if offset < before:
                self.violations.append(f"{group} moved {where} back from {before} to {offset}")
            for stored in self._cluster.log(where).read(before, offset - before):
                if stored.offset < offset and not self._is_finished(stored):
                    self.violations.append(f"{group} committed {where} {offset}, past {stored.offset}, unfinished")
            self._committed[group, where] = max(offset, before)

    def _is_finished(self, stored: Stored) -> bool:
        here = (stored.topic, stored.partition, stored.offset)
        unfit = self._unfit(stored)
        if unfit is not None:
            return here in self.buried and (unfit.requester is None or here in self.told)
        return here in self.caused or self._leaves_nothing(stored)

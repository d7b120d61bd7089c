"""Which requests this worker must not call for again: those already completed."""

from collections import OrderedDict
from collections.abc import Sequence

from confluent_kafka import TopicPartition
from pydantic import ValidationError

from schemas.flow import Completion
from streams.observe.logs import logger
from streams.runtime.delivery import Delivery
from streams.runtime.restore import TableReader

log = logger(__name__)
REMEMBERED_MS = 6 * 3_600_000


class Finished:
    """Relearned from `llm.completions` when partitions are assigned."""

    def __init__(self) -> None:
        self._completed_ms: OrderedDict[str, int] = OrderedDict()

    def __contains__(self, identity: str) -> bool:
        return identity in self._completed_ms

    def add(self, completion: Completion, now_ms: int) -> None:
        identity = completion.ticket.identity
        self._completed_ms.pop(identity, None)  # so that the order stays that of the times
        self._completed_ms[identity] = now_ms
        self._forget(now_ms - REMEMBERED_MS)

    def _forget(self, before_ms: int) -> None:
        while self._completed_ms:
            identity, completed_ms = next(iter(self._completed_ms.items()))
            if completed_ms >= before_ms:
                return
            del self._completed_ms[identity]


def relearned(
    reader: TableReader, completions: str, starts: Sequence[TopicPartition], now_ms: int, window_ms: int
) -> Finished:
    """What a predecessor completed and did not commit: all that may be delivered again from `starts` on. Blocks."""
    finished = Finished()

    def learn(record: Delivery) -> None:
        try:
            finished.add(Completion.decode(record.value or b""), now_ms)
        except ValidationError:  # `postprocess` keeps it in the dead letters
            log.error("completion_unreadable", partition=record.partition, offset=record.offset)

    if starts:
        oldest_ms = reader.oldest_unfinished_ms(starts)
        partitions = {start.partition for start in starts}
        since_ms = {p: min(oldest_ms.get(p, now_ms), now_ms) - window_ms for p in partitions}
        reader.read(completions, since_ms, learn)
    return finished

"""From a record on one of a stage's tables to what the stage knows of the partition."""

from schemas.topics import Topic
from streams.observe.logs import logger
from streams.runtime.delivery import Delivery
from streams.runtime.partition import PartitionWork

log = logger(__name__)


def recall(table: Topic, work: PartitionWork, record: Delivery, now_ms: int) -> None:
    """Takes it into the state. One that cannot be read is skipped: the log still has it."""
    if not record.value or table.events is None:
        return
    try:
        event = table.events.decode(record.value)
    except ValueError:
        log.error("table_record_unreadable", topic=record.topic, offset=record.offset)
        return
    work.wake(work.state.apply(event, now_ms))

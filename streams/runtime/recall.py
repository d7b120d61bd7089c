"""From a record on a stage's table to what the stage knows of the partition."""

from typing import Any

from streams.observe.logs import logger
from streams.runtime.delivery import Delivery
from streams.runtime.partition import PartitionWork
from streams.runtime.stage import Stage

log = logger(__name__)


def recall(stage: Stage[Any, Any], work: PartitionWork, record: Delivery, now_ms: int) -> None:
    """Takes it into the state. One that cannot be read is skipped: the log still has it."""
    if not record.value or stage.table is None or stage.table.events is None:
        return
    try:
        event = stage.table.events.decode(record.value)
    except ValueError:
        log.error("table_record_unreadable", topic=record.topic, offset=record.offset)
        return
    work.wake(work.state.apply(event, now_ms))

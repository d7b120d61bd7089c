"""The configuration as it stands on `llm.control`, and changes to it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import time_ns
from typing import assert_never

import uuid_utils
from pydantic import ValidationError

from schemas.control import CONTROL as OBJECT
from schemas.control import control_key
from schemas.headers import outgoing, topic_event_type
from schemas.topics import CONTROL
from scripts.cli.config_diff import Added, Change, Changed, Removed
from scripts.cli.kafka import LiveCluster
from scripts.cli.producer import ConfirmedProducer
from scripts.cli.topic_reader import TopicReader
from streams.control import ControlView, with_object, without_object
from streams.runtime.delivery import Delivery


@dataclass(frozen=True, slots=True)
class ControlState:
    """`unreadable`: keys of objects whose newest record says nothing the stages can read; an older one is in force."""

    view: ControlView
    unreadable: tuple[str, ...] = ()


def fold(records: Iterable[Delivery]) -> ControlState:
    """What the stages make of the same records, in the order of their offsets."""
    view, unreadable = ControlView(), dict[str, None]()
    for record in records:
        key = (record.key or b"").decode(errors="replace")
        unreadable.pop(key, None)
        if not record.value:
            view = without_object(view, key, record.offset)
            continue
        try:
            view = with_object(view, OBJECT.validate_json(record.value), record.offset)
        except ValidationError:
            unreadable[key] = None
    return ControlState(view, tuple(unreadable))


def read_control(cluster: LiveCluster) -> ControlState:
    with TopicReader(cluster, CONTROL) as reader:
        return fold(reader.read(reader.spans()))


def write_control(cluster: LiveCluster, changed: Sequence[Change]) -> int:
    """Returns the offset of the newest record, acknowledged. Raises Fault when the brokers do not take one."""
    producer = ConfirmedProducer(cluster.settings)
    topic = cluster.settings.topic(CONTROL)
    for change in changed:
        headers = outgoing(
            topic_event_type(CONTROL.name), str(uuid_utils.uuid7()), "millrace/cli", time_ns() // 1_000_000, None
        )
        producer.send(topic, control_key(change.object).encode(), _value(change), headers, partition=0)
    producer.confirm()
    return producer.last_offset


def _value(change: Change) -> bytes | None:
    match change:
        case Added(each) | Changed(_, each):
            return each.encode()
        case Removed():
            return None
        case _ as unreachable:
            assert_never(unreachable)

"""Keeps a worker's view of the configuration up to date."""

import threading
from contextlib import suppress
from itertools import count

from confluent_kafka import OFFSET_BEGINNING, KafkaException, Message, TopicPartition
from pydantic import ValidationError

from schemas.control import CONTROL as CONTROL_OBJECTS
from schemas.topics import CONTROL
from streams.control import ControlView, with_object, without_object
from streams.observe.logs import logger
from streams.runtime.acknowledged import acknowledged_end, told
from streams.runtime.kafka import Clients
from streams.runtime.messages import END_OF_PARTITION
from streams.settings import KafkaSettings

log = logger(__name__)
ASK_TIMEOUT_S = 1.0
SLOW_ROUNDS = 25
"""Of 0.2 to 1.2 s: so often who waits for the end of the configuration says so."""


def apply_record(view: ControlView, key: bytes | None, value: bytes | None, offset: int) -> ControlView:
    """A record that cannot be read changes nothing but is logged: the last good state of its object stays in force."""
    name = (key or b"").decode(errors="replace")
    if not value:
        return without_object(view, name, offset)
    try:
        return with_object(view, CONTROL_OBJECTS.validate_json(value), offset)
    except ValidationError as error:
        log.error("control_record_unreadable", object=name, offset=offset, problems=error.error_count())
        return view


class ControlFollower:
    """Reads the whole topic, then keeps up with it. One partition, so its offsets are a total order."""

    def __init__(self, clients: Clients, kafka: KafkaSettings) -> None:
        self._consumer = clients.reader()
        self._topic = kafka.topic(CONTROL)
        # a client that knows where a topic is before it is to read it starts half a second sooner
        with suppress(KafkaException):
            self._consumer.list_topics(self._topic, ASK_TIMEOUT_S)
        self._consumer.assign([TopicPartition(self._topic, 0, OFFSET_BEGINNING)])
        self._next_offset = 0
        self._end: int | None = None
        self.view = ControlView()
        self.is_current = False

    def follow(self, timeout_s: float = 0) -> bool:
        """Takes in what is there; True when the view changed. Takes `ASK_TIMEOUT_S` longer until it is known where the
        topic ends. Raises KafkaException on what does not pass.
        """
        before = self.view
        if self._end is None:
            where = TopicPartition(self._topic, 0)
            self._end = told(lambda: acknowledged_end(self._consumer, where, ASK_TIMEOUT_S))
        first = self._consumer.poll(timeout_s)
        if first is not None:
            for message in (first, *self._consumer.consume(1_000, 0)):
                self._take(message)
        self.is_current = self._end is not None and self._next_offset >= self._end
        return self.view is not before

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is None:
            offset = message.offset() or 0
            self.view = apply_record(self.view, message.key(), message.value(), offset)
            self._next_offset = offset + 1
        elif error.code() == END_OF_PARTITION:  # compaction may have removed what was before it
            self._next_offset = message.offset() or 0
        elif not error.retriable():
            raise KafkaException(error)

    def close(self) -> None:
        self._consumer.close()


def wait_for_configuration(follower: ControlFollower, stop: threading.Event) -> None:
    """Without tenants, routes and deployments every request would be rejected: better that it waits on its topic."""
    told = False
    for number in count(1):
        if stop.is_set():
            return
        follower.follow(0.2)
        if follower.is_current and follower.view.is_configured:
            return
        if follower.is_current and not told:
            log.warning("waiting_for_configuration", todo="apply one: millrace config apply FILE")
            told = True
        if not follower.is_current and number % SLOW_ROUNDS == 0:
            log.warning("configuration_unread", topic=CONTROL.name, todo="see that its partition has a leader")

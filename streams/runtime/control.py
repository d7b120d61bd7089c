"""The configuration a worker obeys: an immutable view of `llm.control`, replaced as the topic moves on."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, assert_never

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition
from pydantic import ValidationError

from schemas.control import CONTROL as CONTROL_OBJECTS
from schemas.control import Breaker, Deployment, Route, Tenant
from schemas.topics import CONTROL
from streams.observe.logs import logger
from streams.runtime.clients import reader_config
from streams.runtime.messages import END_OF_PARTITION
from streams.settings import KafkaSettings

log = logger(__name__)


def _empty() -> dict[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class ControlView:
    """Newest state of every object by name. `version` is the offset of the newest record it contains."""

    tenants: Mapping[str, Tenant] = field(default_factory=_empty)
    deployments: Mapping[str, Deployment] = field(default_factory=_empty)
    routes: Mapping[str, Route] = field(default_factory=_empty)
    breakers: Mapping[str, Breaker] = field(default_factory=_empty)
    version: int = -1

    @property
    def is_configured(self) -> bool:
        return bool(self.tenants and self.deployments and self.routes)


def with_object(view: ControlView, obj: Tenant | Deployment | Route | Breaker, version: int) -> ControlView:
    match obj:
        case Tenant():
            return replace(view, tenants={**view.tenants, obj.name: obj}, version=version)
        case Deployment():
            return replace(view, deployments={**view.deployments, obj.name: obj}, version=version)
        case Route():
            return replace(view, routes={**view.routes, obj.name: obj}, version=version)
        case Breaker():
            return replace(view, breakers={**view.breakers, obj.name: obj}, version=version)
        case _ as unreachable:
            assert_never(unreachable)


def without_object(view: ControlView, key: str, version: int) -> ControlView:
    """A tombstone: the object named `kind/name` is gone."""
    kind, _, name = key.partition("/")
    match kind:
        case "tenant":
            return replace(view, tenants={k: v for k, v in view.tenants.items() if k != name}, version=version)
        case "deployment":
            return replace(view, deployments={k: v for k, v in view.deployments.items() if k != name}, version=version)
        case "route":
            return replace(view, routes={k: v for k, v in view.routes.items() if k != name}, version=version)
        case "breaker":
            return replace(view, breakers={k: v for k, v in view.breakers.items() if k != name}, version=version)
        case _:
            return replace(view, version=version)


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

    def __init__(self, kafka: KafkaSettings) -> None:
        self._consumer = Consumer(reader_config(kafka))
        self._topic = kafka.topic(CONTROL)
        self._consumer.assign([TopicPartition(self._topic, 0, OFFSET_BEGINNING)])
        self.view = ControlView()
        self.is_current = False

    def follow(self, timeout_s: float = 0) -> bool:
        """Takes in what is there; True when the view changed. Raises KafkaException on what does not pass."""
        before = self.view
        for message in self._consumer.consume(1000, timeout_s):
            self._take(message)
        return self.view is not before

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is None:
            self.view = apply_record(self.view, message.key(), message.value(), message.offset() or 0)
        elif error.code() == END_OF_PARTITION:
            self.is_current = True
        elif not error.retriable():
            raise KafkaException(error)

    def close(self) -> None:
        self._consumer.close()


def wait_for_configuration(follower: ControlFollower, stop: threading.Event) -> None:
    """Without tenants, routes and deployments every request would be rejected: better that it waits on its topic."""
    told = False
    while not stop.is_set():
        follower.follow(0.2)
        if follower.is_current and follower.view.is_configured:
            return
        if follower.is_current and not told:
            log.warning("waiting_for_configuration", todo="apply one: millrace config apply FILE")
            told = True

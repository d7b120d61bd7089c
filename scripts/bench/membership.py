"""Whether a worker stayed in its group while it was busy: who starves its heartbeats is put out, and others notice."""

import threading
from collections.abc import Iterable, Iterator
from typing import Any, Final, cast

from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient

_EVERY_S: Final = 0.5
_WITHIN_S: Final = 10.0


def share(admin: AdminClient, group: str, workers: int) -> bool:
    """Whether so many are in the group now, it is not rebalancing, and each of them has partitions."""
    try:
        described = _described(admin, group)
    except (KafkaException, TimeoutError):
        return False
    return (
        described.state is ConsumerGroupState.STABLE
        and len(described.members) == workers
        and all(member.assignment.topic_partitions for member in described.members)
    )


class Watched:
    """Looks at a consumer group twice a second, on a thread of its own, from its first stable member until `stop`."""

    def __init__(self, bootstrap_servers: str, group: str) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers})
        self._group = group
        self._stop = threading.Event()
        self._members: frozenset[str] | None = None
        self.looks = 0
        self.disturbed = 0
        """Looks at which the group was rebalancing, or had other members than at the start."""
        self._thread = threading.Thread(target=self._watch, name="membership", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(_EVERY_S):
            try:
                group = _described(self._admin, self._group)
            except (KafkaException, TimeoutError):
                continue  # a broker that is too busy to tell says nothing about the group
            members = frozenset(_ids(group.members))
            is_stable = group.state is ConsumerGroupState.STABLE and bool(members)
            if self._members is None:
                self._members = members if is_stable else None
                continue
            self.looks += 1
            self.disturbed += not is_stable or members != self._members


def _described(admin: AdminClient, group: str) -> Any:
    described = cast("Any", admin.describe_consumer_groups([group], request_timeout=_WITHIN_S))
    return described[group].result(_WITHIN_S)


def _ids(members: Iterable[Any]) -> Iterator[str]:
    return (str(member.member_id) for member in members)

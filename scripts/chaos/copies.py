"""Whether every partition has a leader and all its copies."""

import logging
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

_WITHIN_S = 5.0
# Brokers die here all the time: what a client says about it is no news.
_SILENT = logging.getLogger("millrace.chaos.kafka")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False
QUIET: Mapping[str, Any] = {"log_level": 0, "logger": _SILENT}


def all_in_sync(bootstrap_servers: str, brokers: int) -> bool:
    """False, too, when no broker answers within five seconds."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, **QUIET})
    try:
        cluster = admin.list_topics(timeout=_WITHIN_S)
    except KafkaException:
        return False
    return len(cluster.brokers) == brokers and all(
        partition.leader >= 0 and set(partition.isrs) == set(partition.replicas)
        for topic in cluster.topics.values()
        for partition in topic.partitions.values()
    )

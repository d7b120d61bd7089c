"""How the aiokafka clients are set up: the same promises as in `streams.runtime.clients`."""

from typing import Any

from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from streams.runtime.clients import LARGEST_RECORD_BYTES, tls_context
from streams.settings import KafkaSettings

HEARTBEAT_MS = 1_000
_BATCH_BYTES = 4 * 1024 * 1024
"""Of one partition, which has one batch on its way at a time. When that is full, aiokafka wakes all who wait for the
next one at once, and most of them wait again: with its default of 16 KiB, ten rows, that is all that a worker with
some hundred calls of one tenant does; with a MiB one with ten thousand. Less than the smallest limit of a topic.
"""


def _common(kafka: KafkaSettings, stage: str) -> dict[str, Any]:
    options: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap_servers,
        "client_id": f"millrace-{stage}",
        "security_protocol": kafka.security_protocol,
    }
    if kafka.uses_tls:
        options["ssl_context"] = tls_context(kafka)
    if kafka.uses_sasl:
        options["sasl_mechanism"] = kafka.sasl_mechanism
        options["sasl_plain_username"] = kafka.sasl_username
        options["sasl_plain_password"] = kafka.sasl_password.get_secret_value() if kafka.sasl_password else None
    return options


def consumer_options(kafka: KafkaSettings, stage: str) -> dict[str, Any]:
    return {
        **_common(kafka, stage),
        "group_id": kafka.group(stage),
        "partition_assignment_strategy": (RangePartitionAssignor,),
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "session_timeout_ms": kafka.session_timeout_ms,
        # by a heartbeat we hear that the group rebalances, and until the last has heard, the others stand idle
        "heartbeat_interval_ms": HEARTBEAT_MS,
        # nobody waits for our calls: giving partitions up takes two writes, each with its own limit below this
        "rebalance_timeout_ms": max(30_000, kafka.session_timeout_ms),
        # lanes full of long calls take nothing for a while, and who has no partitions never does: aiokafka would leave
        # the group for good; a loop that is stuck misses its heartbeats anyway
        "max_poll_interval_ms": 10 * 365 * 24 * 3_600_000,
        "max_partition_fetch_bytes": 8 * 1024 * 1024,
        "fetch_max_wait_ms": 100,
    }


def producer_options(kafka: KafkaSettings, stage: str) -> dict[str, Any]:
    """Batches form by themselves while a request is on its way, so nothing lingers."""
    return {
        **_common(kafka, stage),
        "acks": "all",
        "enable_idempotence": True,
        "compression_type": "lz4",
        "linger_ms": 0,
        "max_batch_size": _BATCH_BYTES,
        "max_request_size": LARGEST_RECORD_BYTES,
        "request_timeout_ms": 40_000,
    }

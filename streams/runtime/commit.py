"""Committing offsets, and telling an outage that passes from a refusal that does not."""

from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from streams.observe.logs import logger
from streams.runtime.kafka import GroupConsumer

log = logger(__name__)

Where = tuple[str, int]
"""Topic's full name, and partition."""

_PASSING = frozenset(
    {
        KafkaError._TRANSPORT,  # noqa: SLF001  # public error codes whose names have an underscore
        KafkaError._TIMED_OUT,  # noqa: SLF001  # a public code whose name has an underscore
        KafkaError._WAIT_COORD,  # noqa: SLF001  # a public code whose name has an underscore
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        # the partitions are being taken away, or are gone: the next poll says which, and drops their work
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError._ASSIGNMENT_LOST,  # noqa: SLF001  # a public code whose name has an underscore
    }
)


def commit(consumer: GroupConsumer, offsets: Mapping[Where, int]) -> bool:
    """Synchronous, and every partition's result is looked at. False: nothing may be remembered as committed, and the
    next attempt may do better. Raises KafkaException on what does not pass.
    """
    wanted = [TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()]
    try:
        results = consumer.commit(offsets=wanted, asynchronous=False)
    except KafkaException as problem:
        errors: list[KafkaError] = [problem.args[0]]
    else:
        errors = [result.error for result in results if result.error is not None]
    for error in errors:
        if error.code() not in _PASSING:
            raise KafkaException(error)
        log.warning("commit_failed", error=error.str())
    return not errors

"""What this user may not do of what a process is going to do: brokers tell before it starts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, cast

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation

from scripts.cli.acls import Grant, Operation
from scripts.cli.kafka import admin
from streams.runtime.denial import is_denied
from streams.settings import KafkaSettings

ASKED_WITHIN_S = 30.0
Futures = Mapping[str, Future[Any]]
"""By name: descriptions of topics, or of groups."""

_OPERATIONS: Mapping[AclOperation, Operation] = {
    AclOperation.READ: "Read",
    AclOperation.WRITE: "Write",
    AclOperation.CREATE: "Create",
    AclOperation.DESCRIBE: "Describe",
    AclOperation.DESCRIBE_CONFIGS: "DescribeConfigs",
    AclOperation.ALTER_CONFIGS: "AlterConfigs",
}


def missing_rights(kafka: KafkaSettings, needed: Sequence[Grant]) -> list[Grant]:
    """The part of `needed` that is not given. What does not exist yet, and names that only begin so, are passed over.
    Raises KafkaException when the brokers do not tell.
    """
    literal = [grant for grant in needed if grant.pattern == "literal"]
    client = admin(kafka)  # held until all is answered: a client that is let go of never answers
    topics = cast(
        "Futures",
        client.describe_topics(
            TopicCollection([grant.name for grant in literal if grant.resource == "topic"]),
            include_authorized_operations=True,
            request_timeout=ASKED_WITHIN_S,
        ),
    )
    groups = cast(
        "Futures",
        client.describe_consumer_groups(
            [grant.name for grant in literal if grant.resource == "group"],
            include_authorized_operations=True,
            request_timeout=ASKED_WITHIN_S,
        ),
    )
    given = {
        **{("topic", name): operations for name, operations in _allowed(topics)},
        **{("group", name): operations for name, operations in _allowed(groups)},
    }
    return [lack for grant in literal if (lack := _lacking(grant, given.get((grant.resource, grant.name)))) is not None]


def _lacking(needed: Grant, given: frozenset[Operation] | None) -> Grant | None:
    if given is None:
        return None
    operations: tuple[Operation, ...] = tuple(each for each in needed.operations if each not in given)
    return Grant(needed.principal, operations, needed.resource, needed.name) if operations else None


def _allowed(futures: Futures) -> Iterator[tuple[str, frozenset[Operation]]]:
    """By name; without those that do not exist."""
    for name, future in futures.items():
        try:
            found = cast("Iterable[AclOperation] | None", future.result(ASKED_WITHIN_S).authorized_operations)
        except KafkaException as error:
            if is_denied(error.args[0]):
                yield name, frozenset()
            continue
        if found is not None:
            yield name, frozenset(_OPERATIONS[each] for each in found if each in _OPERATIONS)

"""Who must be allowed what on Kafka: derived from who reads and writes which topic, and from nothing else."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from schemas.participants import PARTS, TRAFFIC, Outsider, Part, Traffic
from schemas.topics import TOPICS
from streams.runtime.clients import READERS
from streams.settings import KafkaSettings

Operation = Literal["Read", "Write", "Create", "Describe", "DescribeConfigs", "AlterConfigs"]
Pattern = Literal["literal", "prefixed"]
Who = Part | Outsider

PRINCIPAL_PREFIX = "User:millrace-"


@dataclass(frozen=True, slots=True)
class Grant:
    """`principal` may do all of `operations` on `name`, or on everything whose name begins so."""

    principal: str
    operations: tuple[Operation, ...]
    resource: Literal["topic", "group"]
    name: str
    pattern: Pattern = "literal"


def grants(kafka: KafkaSettings, principal_prefix: str) -> list[Grant]:
    """For each stage, the sink, watch, and those outside; a principal is the prefix and their name.

    Reading or writing a topic includes knowing that it is there. An idempotent producer needs no more than to write,
    from Kafka 3.0 on.
    """
    parts = [grant for part in PARTS for grant in part_grants(kafka, part, f"{principal_prefix}{part}")]
    return [*parts, *_outside(kafka, principal_prefix)]


def part_grants(kafka: KafkaSettings, part: Part, principal: str) -> Iterator[Grant]:
    """A process looks at the configuration of its topics before it starts. Faust makes, reads and writes topics of its
    own, whose names all begin with its group's.
    """
    for traffic in TRAFFIC:
        operations = _reads_and_writes(part, traffic)
        if operations:
            yield Grant(principal, (*operations, "DescribeConfigs"), "topic", kafka.topic(traffic.topic))
    yield Grant(principal, ("Read",), "group", kafka.group(part))
    yield Grant(principal, ("Describe",), "group", kafka.group(READERS))
    if part == "watch":
        yield Grant(principal, ("Read", "Write", "Create"), "topic", f"{kafka.group(part)}-", "prefixed")


def _reads_and_writes(who: Who, traffic: Traffic) -> tuple[Operation, ...]:
    reads = who in traffic.readers or who in traffic.followers
    return (*(("Read",) if reads else ()), *(("Write",) if who in traffic.writers else ()))


def _outside(kafka: KafkaSettings, principal_prefix: str) -> Iterator[Grant]:
    """Whoever asks; whoever takes the answers, in groups named after it; whoever gives dead letters back; and whoever
    runs the commands.
    """
    for who in ("producer", "service", "redriver"):
        for traffic in TRAFFIC:
            if operations := _reads_and_writes(who, traffic):
                yield Grant(f"{principal_prefix}{who}", operations, "topic", kafka.topic(traffic.topic))
    yield Grant(f"{principal_prefix}service", ("Read",), "group", kafka.group("service"), "prefixed")
    for who in ("service", "redriver"):
        yield Grant(f"{principal_prefix}{who}", ("Describe",), "group", kafka.group(READERS))
    operator = f"{principal_prefix}operator"
    written = {traffic.topic.name for traffic in TRAFFIC if "operator" in traffic.writers}
    for topic in TOPICS:
        writes: tuple[Operation, ...] = ("Write",) if topic.name in written else ()
        every: tuple[Operation, ...] = ("Create", "DescribeConfigs", "AlterConfigs")
        yield Grant(operator, ("Read", *writes, *every), "topic", kafka.topic(topic))
    for group in (*PARTS, READERS):
        yield Grant(operator, ("Describe",), "group", kafka.group(group))


def commands(given: Sequence[Grant], bootstrap_servers: str, command_config: str | None) -> list[str]:
    """Lines for a shell with Kafka's `bin` on its path. To give again what is given changes nothing."""
    start = ["kafka-acls.sh", "--bootstrap-server", bootstrap_servers]
    if command_config is not None:
        start += ["--command-config", command_config]
    return [shlex.join([*start, "--add", *_options(alike)]) for alike in _alike(given)]


def _options(alike: Sequence[Grant]) -> Iterator[str]:
    first = alike[0]
    yield from ("--allow-principal", first.principal, "--resource-pattern-type", first.pattern)
    for operation in first.operations:
        yield from ("--operation", operation)
    for grant in alike:
        yield from (f"--{grant.resource}", grant.name)


def _alike(given: Sequence[Grant]) -> list[list[Grant]]:
    """What one command can give: the same to the same on several names."""
    together: dict[object, list[Grant]] = {}
    for grant in given:
        together.setdefault((grant.principal, grant.operations, grant.resource, grant.pattern), []).append(grant)
    return list(together.values())

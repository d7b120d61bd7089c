"""Kafka's own command line tools on the embedded broker's jars and Java: no download, no Java of the machine.

`python -m scripts.stack.kafka_tool kafka-console-producer --bootstrap-server HOST:PORT --topic NAME` takes the same
arguments as the shell script of that name in Kafka's distribution.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NoReturn

from scripts.stack.errors import StackError
from scripts.stack.java import tool_argv

TOOLS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "kafka-acls": "org.apache.kafka.tools.AclCommand",
        "kafka-broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
        "kafka-configs": "kafka.admin.ConfigCommand",
        "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
        "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
        "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        "kafka-consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
        "kafka-delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
        "kafka-dump-log": "org.apache.kafka.tools.DumpLogSegments",
        "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
        "kafka-groups": "org.apache.kafka.tools.GroupsCommand",
        "kafka-leader-election": "org.apache.kafka.tools.LeaderElectionCommand",
        "kafka-log-dirs": "org.apache.kafka.tools.LogDirsCommand",
        "kafka-metadata-quorum": "org.apache.kafka.tools.MetadataQuorumCommand",
        "kafka-producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
        "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    }
)
"""Main class of each tool, by the name of its script in Kafka's distribution."""


def main(arguments: Sequence[str]) -> NoReturn:
    """Become the tool: its input, output and exit status are this process's own."""
    name, *rest = arguments or ("",)
    main_class = TOOLS.get(name.removesuffix(".sh"))
    if main_class is None:
        sys.exit(f"{name or 'no tool'!r} is not one of Kafka's tools here: {', '.join(TOOLS)}")
    try:
        argv = tool_argv(main_class, *rest)
    except StackError as error:
        sys.exit(str(error))
    os.execv(argv[0], argv)  # noqa: S606 - becoming the tool is all this module does


if __name__ == "__main__":
    main(sys.argv[1:])

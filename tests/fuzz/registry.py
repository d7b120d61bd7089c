"""Every parser of bytes from outside, by name. Both fuzzers take their targets from here."""

from collections.abc import Mapping
from types import MappingProxyType

from tests.fuzz.target import Target
from tests.fuzz.targets import answers, clickhouse, command_line, connection, pipeline, providers, simulator

TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        target.name: target
        for module in (pipeline, answers, providers, connection, clickhouse, command_line, simulator)
        for target in module.TARGETS
    }
)

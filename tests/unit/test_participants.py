"""The published graph is the one that the stages run."""

from collections.abc import Callable

import pytest

from schemas.participants import STAGES, TRAFFIC, Traffic
from schemas.topics import COMPLETIONS, CONTROL, DEAD_LETTERS, RESPONSES
from streams.topology import INVOKE_READS, INVOKE_WRITES, SYNCHRONOUS


def topics_where(chosen: Callable[[Traffic], bool]) -> set[str]:
    return {traffic.topic.name for traffic in TRAFFIC if chosen(traffic)}


@pytest.mark.parametrize("name", SYNCHRONOUS)
def test_a_stage_reads_and_follows_what_the_document_says(name: str) -> None:
    stage = SYNCHRONOUS[name]
    followed = {CONTROL.name} | {table.name for table in stage.tables}
    assert topics_where(lambda traffic: name in traffic.readers) == {topic.name for topic in stage.reads}
    assert topics_where(lambda traffic: name in traffic.followers) == followed


@pytest.mark.parametrize("name", SYNCHRONOUS)
def test_a_stage_writes_what_the_document_says(name: str) -> None:
    stage = SYNCHRONOUS[name]
    door = RESPONSES if COMPLETIONS in stage.reads else COMPLETIONS  # how a request ends here
    written = {topic.name for topic in (*stage.writes, door, DEAD_LETTERS)}
    assert topics_where(lambda traffic: name in traffic.writers) == written


def test_invoke_reads_and_writes_what_the_document_says() -> None:
    assert topics_where(lambda traffic: "invoke" in traffic.readers) == {topic.name for topic in INVOKE_READS}
    assert topics_where(lambda traffic: "invoke" in traffic.writers) == {
        topic.name for topic in (*INVOKE_WRITES, DEAD_LETTERS)
    }


def test_every_stage_that_has_a_name_can_be_run_and_every_stage_that_can_be_run_has_a_name() -> None:
    assert {*SYNCHRONOUS, "invoke"} == set(STAGES)

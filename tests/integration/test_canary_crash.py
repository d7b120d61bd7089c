"""A bug that ends a process quotes nothing of what was being read, whatever its exception says."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.integration.orphans import REPOSITORY

pytestmark = pytest.mark.integration

CANARY = "canary-thyme-9c1f"
BUG = """
import sys, threading
import scripts.cli.{module} as command
from schemas.request import Request
from streams.settings import KafkaSettings

def bug(*_, **__):
    try:
        raise KeyError("{canary}")
    except KeyError:
        Request.decode(b'{{"request_id": "{canary}", "tenant_id": "{canary}", "messages": "{canary}"}}')

def bug_aside(*_, **__):
    thread = threading.Thread(target=bug)
    thread.start()
    thread.join()
    bug()

command.sound_cluster = lambda *_: KafkaSettings()
import {place} as place
place.{name} = {bug}
from scripts.cli.app import main
sys.argv = ["millrace", *{arguments}]
main()
"""
WHERE: dict[str, dict[str, Any]] = {
    "a stage": {
        "module": "stage",
        "place": "streams.runtime.worker",
        "name": "Worker",
        "arguments": ["stage", "route"],
    },
    "invoke": {
        "module": "stage",
        "place": "streams.invoke.process",
        "name": "ConfluentClients",
        "arguments": ["stage", "invoke"],
    },
    "the sink": {"module": "sink", "place": "streams.sink_process", "name": "SinkWorker", "arguments": ["sink"]},
    "watch": {"module": "watch", "place": "streams.watch.run", "name": "watch_app", "arguments": ["watch"]},
}


def crash(bug: str, **facts: Any) -> subprocess.CompletedProcess[str]:
    code = BUG.format(canary=CANARY, bug=bug, **facts)
    return subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("facts", WHERE.values(), ids=WHERE.keys())
def test_a_bug_that_ends_a_process_is_told_by_its_lines_and_quotes_nothing(facts: dict[str, Any]) -> None:
    ended = crash("bug", **facts)
    assert ended.returncode == 1, ended.stderr
    assert CANARY not in ended.stderr + ended.stdout
    last = json.loads(ended.stderr.splitlines()[-1])
    assert (last["event"], last["problem"]) == ("ended_by_a_bug", "ValidationError")
    assert any("bug" in line for line in last["where"])


def test_a_bug_in_a_thread_of_a_process_quotes_nothing_either() -> None:
    ended = crash("bug_aside", **WHERE["a stage"])
    assert CANARY not in ended.stderr + ended.stdout
    events = [json.loads(line)["event"] for line in ended.stderr.splitlines()]
    assert events[-2:] == ["thread_ended_by_a_bug", "ended_by_a_bug"]

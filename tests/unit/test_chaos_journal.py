"""The journal of a run tells every end of a process, and which of them a fault asked for."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console

from scripts.chaos.deaths import Deaths
from scripts.chaos.journal import Journal
from scripts.chaos.kinds import OPTIONS, Option
from scripts.chaos.plan import RunPlan
from scripts.chaos.report import as_json, faults, read_journal, show, unwanted_ends
from scripts.chaos.verdict import Invariant, Verdict, read_verdict
from scripts.stack.supervised import ProcessState, Status


class Written:
    """A journal and what is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = Journal(self.path, lambda: 7)
        self.log = path.with_suffix(".log")
        self.deaths = Deaths(self.journal, lambda _name: self.log)

    def lines(self) -> list[dict[str, Any]]:
        return read_journal(self.path)


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    beginning = Written(tmp_path / "journal.jsonl")
    yield beginning
    beginning.journal.close()


def state(status: Status, pid: int | None, *, restarts: int = 0, exit_status: int | None = None) -> ProcessState:
    return ProcessState("limit-1", status, pid, restarts, exit_status)


def test_a_line_can_be_read_as_soon_as_it_is_written(written: Written) -> None:
    written.journal.write(event="injected", id=1, target="limit-1")
    assert written.lines() == [{"at_ms": 7, "event": "injected", "id": 1, "target": "limit-1"}]


def test_what_happens_after_the_end_is_no_part_of_the_run(written: Written) -> None:
    written.journal.close()
    written.journal.write(event="died", target="limit-1")
    assert written.lines() == []


def test_the_end_of_a_process_is_told_with_its_pid_and_whether_it_was_wanted(written: Written) -> None:
    written.deaths(state(Status.RUNNING, 10))
    written.deaths.want("limit-1")
    written.deaths(state(Status.BACKING_OFF, None, exit_status=-9))
    written.deaths(state(Status.RUNNING, 11, restarts=1, exit_status=-9))
    written.deaths(state(Status.BACKING_OFF, None, restarts=1, exit_status=1))
    assert [(line["event"], line["pid"], line.get("wanted")) for line in written.lines()] == [
        ("died", 10, True),
        ("restarted", 11, None),
        ("died", 11, False),
    ]


def test_a_process_that_is_given_up_after_it_died_did_not_die_twice(written: Written) -> None:
    written.deaths(state(Status.RUNNING, 10))
    written.deaths(state(Status.BACKING_OFF, None, exit_status=1))
    written.deaths(state(Status.STOPPED, None, exit_status=1))
    assert [line["event"] for line in written.lines()] == ["died"]


def test_a_process_is_judged_by_its_own_last_words_and_not_by_those_of_the_one_before(written: Written) -> None:
    written.deaths(state(Status.RUNNING, 10))
    written.log.write_text("millrace: stopped: a record was not written: Local: Message timed out\n")
    written.deaths(state(Status.BACKING_OFF, None, exit_status=1))
    assert not written.deaths.judged().violations
    written.deaths(state(Status.RUNNING, 11, restarts=1, exit_status=1))
    written.deaths(state(Status.BACKING_OFF, None, restarts=1, exit_status=1))
    assert written.deaths.judged().examples == (
        "limit-1 [11] ended with status 1 for no documented reason: it said nothing",
    )
    assert written.lines()[0]["words"] == "stopped: a record was not written: Local: Message timed out"


def injected(kind: str, target: str) -> dict[str, Any]:
    return {"event": "injected", "fault": kind, "target": target}


def test_faults_are_counted_by_kind_and_part() -> None:
    journal = [injected("kill", "limit-1"), injected("kill", "limit-2"), injected("kill", "broker-0"), {"event": "x"}]
    assert faults(journal) == {"kill": {"broker": 1, "limit": 2}}


def test_ends_that_nobody_asked_for_are_counted_by_part() -> None:
    ends = [{"event": "died", "target": f"limit-{n}", "wanted": wanted} for n, wanted in ((1, True), (2, False))]
    assert unwanted_ends(ends) == {"limit": 1}


def report(*invariants: Invariant) -> dict[str, Any]:
    plan = RunPlan(seed=5, minutes=2, rate=20, faults=frozenset({Option("kill", "limit")}))
    verdict = Verdict(state="final", sent=9, answered=8, invariants=invariants)
    first, second, *_ = plan.schedule
    skipped = {"event": "skipped", "id": second.id, "fault": "kill", "target": "limit-2", "why": "it does not run"}
    return as_json(plan, invariants, verdict, [{**injected("kill", "limit-1"), "id": first.id}, skipped])


def test_a_report_shows_the_violations_in_words_and_how_to_run_it_again() -> None:
    held = Invariant(name="lag returns to zero", checks=8, violations=0)
    broken = Invariant(name="one answer", checks=3, violations=1, examples=("acme [r1] has two",))
    console = Console(file=io.StringIO(), width=150)
    show(console, report(held, broken))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "one answer: acme [r1] has two" in text
    assert "make chaos SEED=5 MINUTES=2 RATE=20 FAULTS=kill:limit" in text
    assert not report(held, broken)["held"]
    assert report(held)["held"]
    assert orjson.loads(orjson.dumps(report(held)))["faults"] == {"kill": {"limit": 1}}


def test_a_report_says_how_much_of_each_kind_and_lane_was_done_as_planned() -> None:
    planned = len(RunPlan(seed=5, minutes=2, rate=20, faults=frozenset({Option("kill", "limit")})).schedule)
    counts = {"planned": planned, "injected": 1, "skipped": 1}
    assert report()["kinds"] == {"kill": counts}
    assert report()["lanes"] == {"ends": counts}


def test_a_run_of_all_faults_is_replayed_without_naming_them() -> None:
    assert RunPlan(seed=5, minutes=0.75, rate=1.5, faults=OPTIONS).replay == "make chaos SEED=5 MINUTES=0.75 RATE=1.5"
    exactly = RunPlan(seed=5, minutes=10.1234567, rate=20).replay
    assert exactly == "make chaos SEED=5 MINUTES=10.1234567 RATE=20"


def test_a_verdict_is_none_until_there_is_one(tmp_path: Path) -> None:
    path = tmp_path / "verdict.json"
    assert read_verdict(path) is None
    path.write_text('{"state":"settled","at_ms":1,"sent":2,"answered":2,"open":0,"invariants":[]}')
    verdict = read_verdict(path)
    assert verdict is not None
    assert (verdict.state, verdict.sent) == ("settled", 2)

"""An end that is documented is none of a bug, whatever else happened, and what was never checked has not held."""

import pytest

from scripts.chaos.checked import MAY_BE_IDLE, all_checked
from scripts.chaos.ends import last_words, unexplained
from scripts.chaos.verdict import Invariant

DOCUMENTED = (
    "millrace: stopped: a record was not written: Local: Message timed out",
    "millrace: stopped: a record was refused for its time: this worker was away for too long, or its clock and",
    "millrace: stopped: this worker was away for so long that others may do its work: it starts over",
    "millrace: stopped: the broker did not acknowledge within 15000 ms",
    "millrace: stopped: the broker did not take the last commit within 5 s",
    "millrace: stopped: 3 calls did not end within 5 s of being cancelled",
    '{"event":"ended_by_a_bug","problem":"CommitsStuckError","where":[]}',
    '{"event":"ended_by_a_bug","problem":"CommitsStuckError","where":["/m/commits.py:71 look"]}',
    '{"event":"[^Worker]: We experienced a crash! Reraising...","level":"critical","problem":"CommitsStuckError"}',
    '{"event":"tables_ahead_of_their_changelogs","level":"error"}',
    "millrace: stopped: nothing was heard of a partition to be read back for 30 s",
    "millrace: stopped: no broker could tell for 60 s what there is to be read back",
    'millrace: stopped: Kafka: Failed to fetch committed offsets in group "millrace.limit": Broker: Not coordinator',
    "millrace: stopped: Kafka: [Error 7] RequestTimedOutError",
    "millrace: Kafka: Failed while waiting for response from broker: Local: Broker handle destroyed",
    "millrace: Kafka at 127.0.0.1:1 does not answer (Local: Broker transport failure); start it, or say where it is",
    '{"event":"hard_exit","why":"the process did not end in time"}',
)
BUGS = (
    '{"event":"ended_by_a_bug","problem":"KeyError","where":[]}',
    "millrace: stopped: Kafka: Topic authorization failed; this user lacks a right: compare what it may do",
    "millrace: not started, because on this cluster promises could not be kept:",
    '{"event":"[^Worker]: We experienced a crash! Reraising...","level":"critical","problem":"KeyError"}',
    "Segmentation fault",
    '{"event":"subscribed"}',
    "",
)


@pytest.mark.parametrize("line", DOCUMENTED)
def test_a_process_that_says_a_documented_reason_may_end(line: str) -> None:
    log = f'{{"event":"subscribed"}}\n{line}\n\n'.encode()
    assert not unexplained(1, last_words(log), wanted=False)
    assert not unexplained(1, last_words(log), wanted=True)


@pytest.mark.parametrize("line", BUGS)
def test_any_other_end_is_told_though_a_restart_covers_it_up(line: str) -> None:
    assert "for no documented reason" in unexplained(1, last_words(line.encode()), wanted=False)
    assert unexplained(1, last_words(line.encode()), wanted=True)


def test_the_end_by_a_bug_is_told_with_the_last_lines_it_passed() -> None:
    log = b'{"event":"ended_by_a_bug","problem":"KeyError","where":["/m/a.py:1 run","/m/b.py:2 do","/m/c.py:3 find"]}'
    said = unexplained(1, last_words(log), wanted=False)
    assert said.endswith("ended_by_a_bug KeyError at /m/c.py:3 find < /m/b.py:2 do < /m/a.py:1 run")


@pytest.mark.parametrize(
    ("status", "wanted", "fine"), [(0, True, True), (-9, True, True), (0, False, False), (-11, False, False)]
)
def test_ends_without_an_error_are_a_faults_doing_or_wrong(status: int, wanted: bool, fine: bool) -> None:
    assert (not unexplained(status, "", wanted=wanted)) == fine


def test_what_was_never_checked_has_not_held() -> None:
    seen = Invariant(name="one answer", checks=3, violations=0)
    unseen = Invariant(name="limits hold", checks=0, violations=0)
    assert all_checked(2, [seen, unseen]).examples == ("limits hold: never",)
    assert not all_checked(1, [seen, unseen]).violations


def test_what_a_sound_run_may_have_nothing_for_is_not_missed() -> None:
    idle = [Invariant(name=name, checks=0, violations=0) for name in MAY_BE_IDLE]
    assert not all_checked(2, idle).violations

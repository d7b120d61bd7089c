"""That the verifier sees an offset that moves back, or that passes an event which has led to nothing."""

from dataclasses import replace

import pytest
from confluent_kafka import TopicPartition

from scripts.chaos.verify.attempts import Attempts
from scripts.chaos.verify.cluster import known
from scripts.chaos.verify.commits import DOUBTED_MS, READERS, Commits
from scripts.chaos.verify.facts import Passed, Seen
from scripts.chaos.verify.follower import topic_names
from scripts.chaos.verify.snapshot import GroupPartition, Snapshot
from streams.settings import KafkaSettings
from streams.topology import INVOKE_READS, SYNCHRONOUS
from tests.unit.chaos_history import (
    NOW_MS,
    admitted,
    broken,
    called,
    committed,
    completed,
    dispatched,
    fold,
    lettered,
    place,
    priced,
    requested,
    responded,
    row,
    seen,
    snapshot,
    sound,
    validated,
)

TOPICS = topic_names(KafkaSettings())
WHOLE = snapshot(committed=committed(), rows=[row()])


def commits(records: list[Seen], *snapshots: Snapshot) -> dict[str, list[str]]:
    attempts = Attempts()
    invariant = Commits(attempts, TOPICS)
    fold(invariant, records, *snapshots, attempts=attempts)
    return broken(invariant)


def test_what_is_known_of_the_readers_is_what_the_stages_read() -> None:
    reads = {(topic.name, name) for name, stage in SYNCHRONOUS.items() for topic in stage.reads}
    reads |= {(topic.name, "invoke") for topic in INVOKE_READS} | {("calls", "sink")}
    assert {(topic, part) for topic, parts in READERS.items() for part in parts} == reads


def test_a_sound_history_is_sound_in_whatever_order_its_topics_are_read() -> None:
    assert commits(sound(), WHOLE) == {}
    assert commits(sound()[:5] + sound()[:4:-1], WHOLE) == {}
    assert commits(sound()[::-1], WHOLE) == {}


@pytest.mark.parametrize(
    ("lost", "stage"),
    [("validated", "validate"), ("admitted", "limit"), ("misses", "cache"), ("dispatch.normal", "route")],
)
def test_an_event_that_was_committed_and_led_to_nothing_is_found(lost: str, stage: str) -> None:
    found = commits([record for record in sound() if record.topic != lost], WHOLE)
    assert found["commits follow outcomes"][0].startswith(f"{stage} committed 1 and llm.")


def test_an_event_that_invoke_or_postprocess_committed_and_lost_is_found() -> None:
    before = [record for record in sound() if record.topic not in ("calls", "completions", "responses", "accounts")]
    assert "invoke committed 1" in commits(before, WHOLE)["commits follow outcomes"][0]
    unanswered = [*before, called(0, "started"), completed()]
    assert "postprocess committed 1" in commits(unanswered, WHOLE)["commits follow outcomes"][0]


def test_a_row_is_not_yet_the_outcome_of_a_dispatch_nor_a_meter_that_of_a_request() -> None:
    booked = [dispatched(), called(0, "started")]
    assert commits(booked, snapshot(committed={("invoke", "llm.dispatch.normal", 0): 1})) != {}
    charged_only = [validated(), seen("accounts", 0, Passed(), by="limit", cause=place("validated", 0))]
    assert commits(charged_only, snapshot(committed={("limit", "llm.validated", 0): 1})) != {}
    asked_only = [sound()[2], seen("cache", 0, Passed(), by="cache", cause=place("admitted", 0))]
    assert commits(asked_only, snapshot(committed={("cache", "llm.admitted", 0): 1})) != {}


def test_what_is_not_committed_yet_may_lead_to_nothing_yet() -> None:
    assert commits([requested()], snapshot(committed=committed(0))) == {}
    assert "commits follow outcomes" in commits([requested()], snapshot(committed=committed(1)))


def test_a_skipped_commit_is_found_though_later_events_are_finished() -> None:
    records = [requested(0), requested(1, "r-2"), validated(0, origin=1, request_id="r-2")]
    found = commits(records, snapshot(committed={("validate", "llm.requests", 0): 2}))
    assert found == {
        "commits follow outcomes": ["validate committed 2 and llm.requests/0/0, requested, has led to nothing"]
    }


def test_what_led_to_something_that_can_only_be_read_a_little_later_is_no_violation_but_for_a_minute_only() -> None:
    for late_ms, is_violated in ((DOUBTED_MS - 1, False), (DOUBTED_MS, True)):
        invariant = Commits(Attempts(), TOPICS)
        passed = snapshot(committed={("validate", "llm.requests", 0): 1})
        invariant.take(requested())
        invariant.look(passed)
        invariant.look(replace(passed, at_ms=passed.at_ms + late_ms))
        invariant.take(validated())
        invariant.end(passed)
        assert bool(broken(invariant)) is is_violated


def test_a_dead_letter_is_an_outcome_of_the_stage_that_wrote_it() -> None:
    at_one = snapshot(committed={("validate", "llm.requests", 0): 1})
    assert commits([requested(), lettered(requested(), "validate", "unreadable")], at_one) == {}
    assert commits([requested(), lettered(requested(), "limit", "unreadable")], at_one) != {}


def test_a_repeated_id_is_absorbed_only_with_the_same_content() -> None:
    at_two = snapshot(committed={("limit", "llm.validated", 0): 2})
    first = [validated(0), sound()[2]]
    assert commits([*first, validated(1)], at_two) == {}
    assert commits([*first, validated(1, digest="other")], at_two) != {}


def test_a_dispatch_without_a_completion_of_its_own_needs_one_of_its_request() -> None:
    at_two = snapshot(committed={("invoke", "llm.dispatch.normal", 0): 2})
    twice = [dispatched(0), dispatched(1), completed(of=0)]
    assert commits(twice, at_two) == {}
    assert commits(twice[:2], at_two) != {}


def test_a_completion_without_a_response_of_its_own_needs_one_to_its_request() -> None:
    at_two = snapshot(committed={("postprocess", "llm.completions", 0): 2})
    assert commits([completed(0), completed(1), responded(of=0)], at_two) == {}


def test_a_priced_row_must_be_settled_once() -> None:
    at_three = snapshot(committed={("limit", "llm.calls", 0): 3})
    settled = sound()[-1]
    again = priced(2)
    assert commits([called(0, "started"), priced(1), settled, again], at_three) == {}
    assert commits([called(0, "started"), priced(1)], at_three) != {}
    assert commits([called(0, "started"), called(1, "settled")], at_three) == {}


def test_the_sink_may_not_commit_what_clickhouse_does_not_have() -> None:
    at_two = committed()
    assert commits(sound(), snapshot(committed=at_two, rows=[row(phase="started")])) != {}
    found = commits(sound(), snapshot(committed=at_two, rows=[row("other")]))["commits follow outcomes"]
    assert [example.split(",")[0] for example in found] == [
        "sink committed 2 and llm.calls/0/0",
        "sink committed 2 and llm.calls/0/1",
    ]


def test_the_sink_is_not_judged_while_clickhouse_does_not_answer() -> None:
    assert commits(sound(), snapshot(committed=committed())) == {}


def test_an_offset_that_moves_back_is_found_for_any_group() -> None:
    here = ("watch", "llm.calls", 3)
    found = commits([], snapshot(committed={here: 9}), snapshot(committed={}), snapshot(committed={here: 8}))
    assert found == {"offsets go forward": ["watch on llm.calls/3 moved back from 9 to 8"]}


def test_groups_behind_the_ends_are_waited_for() -> None:
    attempts = Attempts()
    invariant = Commits(attempts, TOPICS)
    ends = {("llm.requests", 0): 3}
    invariant.look(replace(snapshot(committed={("validate", "llm.requests", 0): 1}), ends=ends))
    assert invariant.waits() == ["validate has 2 records to commit"]
    invariant.look(replace(snapshot(committed={("validate", "llm.requests", 0): 3}), ends=ends))
    assert invariant.waits() == []


def test_a_row_of_an_older_request_than_was_asked_for_is_judged_when_it_is_asked_for() -> None:
    late = replace(snapshot(committed=committed(), rows=[]), is_whole=False, rows_since_ms=NOW_MS + 1)
    assert commits(sound(), late, WHOLE) == {}
    asked = replace(late, rows_since_ms=NOW_MS)
    assert "sink committed" in commits(sound(), asked)["commits follow outcomes"][0]
    assert (
        "sink committed"
        in commits(sound(), late, snapshot(committed=committed(), rows=[]))["commits follow outcomes"][0]
    )


def test_a_commit_that_has_vanished_is_found() -> None:
    where: GroupPartition = ("route", "llm.misses", 0)
    had = dict(known("route", [TopicPartition("llm.misses", 0, 5), TopicPartition("llm.misses", 1, -1001)], set()))
    assert had == {where: 5}
    gone = dict(known("route", [TopicPartition("llm.misses", 0, -1001)], {where}))
    found = commits([], snapshot(committed=had), snapshot(committed=gone))
    assert found["offsets go forward"] == ["route on llm.misses/0 moved back from 5 to -1001"]


def test_a_request_admitted_twice_need_lead_to_nothing_the_second_time_once_it_has_been_completed() -> None:
    again = admitted(1, of=0)
    passed = snapshot(committed={("cache", "llm.admitted", 0): 2})
    assert commits([*sound(), again], passed) == {}
    uncompleted = [record for record in sound() if record.topic != "completions"]
    assert "llm.admitted/0/1" in commits([*uncompleted, again], passed)["commits follow outcomes"][0]

"""A run ends with about what it began with, or says which process kept what."""

from scripts.chaos.baseline import compared, no_lag
from scripts.chaos.observation import Observation, Taken
from scripts.chaos.verdict import Invariant

MIB_KB = 1024
READY: dict[str, int] = dict.fromkeys(("limit-1", "invoke-1", "invoke-2", "broker-0", "clickhouse"), 1)


def seen(at_ms: int = 0, lag: dict[str, int] | None = None, **processes: Taken) -> Observation:
    return Observation(at_ms, {name.replace("_", "-"): taken for name, taken in processes.items()}, lag)


def took(mib: int = 80, threads: int = 20, files: int = 50) -> Taken:
    return Taken(pid=1, rss_kb=mib * MIB_KB, threads=threads, files=files)


def by_name(invariants: list[Invariant]) -> dict[str, Invariant]:
    return {each.name.partition(" return")[0]: each for each in invariants}


def test_what_grew_within_its_allowance_is_the_baseline() -> None:
    found = compared(READY, [seen(limit_1=took())], seen(limit_1=took(mib=120, threads=24, files=70)))
    assert [each.violations for each in found] == [0, 0, 0]
    assert [each.checks for each in found] == [1, 1, 1]


def test_what_grew_beyond_it_is_named_with_its_numbers() -> None:
    found = by_name(compared(READY, [seen(limit_1=took())], seen(limit_1=took(mib=400, threads=200, files=900))))
    assert {name: each.violations for name, each in found.items()} == {"memory": 1, "threads": 1, "open files": 1}
    (example,) = found["threads"].examples
    assert example == "limit-1 has 200 threads; before it was 20, allowed are 29"


def test_a_process_is_held_against_the_most_that_any_of_its_part_took_before() -> None:
    before = [seen(invoke_1=took(mib=100)), seen(invoke_1=took(mib=100), invoke_2=took(mib=300))]
    assert by_name(compared(READY, before, seen(invoke_1=took(mib=320))))["memory"].violations == 0


def test_what_was_only_being_started_is_no_measure() -> None:
    started_late = Taken(pid=2, rss_kb=30 * MIB_KB, threads=1, files=3)
    found = compared(READY, [seen(limit_1=started_late)], seen(limit_1=took()))
    assert [(each.checks, each.violations) for each in found] == [(0, 0)] * 3


def test_a_java_heap_and_the_threads_of_clickhouse_are_not_judged() -> None:
    before = [seen(broker_0=took(mib=200), clickhouse=took(threads=31))]
    found = compared(READY, before, seen(broker_0=took(mib=900), clickhouse=took(threads=150)))
    assert [each.violations for each in found] == [0, 0, 0]


def test_no_lag_is_left() -> None:
    assert no_lag(seen(lag={"limit": 0, "sink": 0})).violations == 0


def test_what_still_waits_is_told_by_part() -> None:
    found = no_lag(seen(lag={"limit": 3, "sink": 0}))
    assert (found.checks, found.violations, found.examples) == (2, 1, ("3 records wait for limit",))


def test_a_lag_nobody_can_tell_is_not_taken_for_none() -> None:
    assert no_lag(seen()).violations == 1

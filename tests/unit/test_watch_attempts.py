"""What has been taken in once is known for as long as was asked, in nine bytes each, and after every restart."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.watch.attempts import AttemptMemory, batch_key, batch_record, digest_of, read_record

NOW_MS = 1_795_000_000_000
KEEP_MS = 3_600_000
IDS = st.text(min_size=1, max_size=8)


@given(st.lists(st.tuples(IDS, st.sampled_from((2, 3))), max_size=60), IDS)
def test_it_knows_the_highest_phase_of_every_attempt_and_no_other(taken: list[tuple[str, int]], unknown: str) -> None:
    memory, highest = AttemptMemory(KEEP_MS), dict[str, int]()
    for number, (attempt_id, phase) in enumerate(taken):
        memory.reach(digest_of(attempt_id), phase, NOW_MS + number * KEEP_MS // 60)
        highest[attempt_id] = max(phase, highest.get(attempt_id, 0))

    assert {each: memory.phase(digest_of(each)) for each in highest} == highest
    assert memory.phase(digest_of(unknown)) == highest.get(unknown, 0)


def test_a_digest_that_lies_across_two_others_is_not_found() -> None:
    memory = AttemptMemory(KEEP_MS)
    first, second = b"\0\0abcdef", b"\0\0ghijkl"
    memory.reach(first, 0, NOW_MS)
    memory.reach(second, 3, NOW_MS)

    assert memory.phase((first + b"\0" + second)[8:16]) == 0
    assert memory.phase((first + b"\0" + second)[1:9]) == 0


def test_it_is_remembered_as_long_as_was_asked_and_not_much_longer() -> None:
    memory, digest = AttemptMemory(KEEP_MS), digest_of("attempt-1")
    memory.reach(digest, 3, NOW_MS)

    memory.expire(NOW_MS + KEEP_MS)
    assert memory.phase(digest) == 3
    memory.expire(NOW_MS + KEEP_MS + KEEP_MS // 2)
    assert memory.phase(digest) == 0


def test_a_hundred_thousand_attempts_take_no_more_than_two_megabytes() -> None:
    digests = [digest_of(str(number)) for number in range(100_000)]
    tracemalloc.start()
    memory = AttemptMemory(KEEP_MS)
    for digest in digests:
        memory.reach(digest, 3, NOW_MS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 2_000_000
    assert all(memory.phase(digest) == 3 for digest in digests[::1_000])


def test_a_batch_is_read_back_from_the_table() -> None:
    reached = {digest_of("a"): 3, digest_of("b"): 2}

    attempts, at_ms = read_record(batch_key(7, 9), batch_record(reached, NOW_MS), NOW_MS + 1)

    assert (dict(attempts), at_ms) == (reached, NOW_MS)


def test_what_an_older_version_remembered_is_known() -> None:
    attempts, at_ms = read_record("attempt-1", b"3", NOW_MS)

    assert (dict(attempts), at_ms) == ({digest_of("attempt-1"): 3}, NOW_MS)


def test_batches_that_begin_or_end_elsewhere_do_not_replace_each_other() -> None:
    assert len({batch_key(1, 9), batch_key(2, 9), batch_key(1, 8)}) == 3


def test_a_torn_batch_is_refused() -> None:
    record = batch_record({digest_of("a"): 3}, NOW_MS)

    with pytest.raises(ValueError, match="a batch of attempts has 16 bytes"):
        read_record(batch_key(1, 2), record[:-1], NOW_MS)

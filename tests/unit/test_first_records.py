"""Which partitions a producer must not send another record to yet."""

from streams.runtime.first_records import FORGOTTEN_MS, FirstRecords
from tests.unit.examples import NOW_MS

HERE, THERE = ("llm.validated", 0), ("llm.validated", 1)


def test_the_second_waits_until_the_first_is_written() -> None:
    first = FirstRecords()
    assert not first.must_wait(HERE)
    first.sent(HERE, NOW_MS)
    assert first.must_wait(HERE)
    first.written()
    assert not first.must_wait(HERE)


def test_a_first_record_holds_up_no_other_partition() -> None:
    first = FirstRecords()
    first.sent(HERE, NOW_MS)
    assert not first.must_wait(THERE)


def test_what_follows_a_written_one_waits_for_nothing() -> None:
    first = FirstRecords()
    first.sent(HERE, NOW_MS)
    first.written()
    first.sent(HERE, NOW_MS + FORGOTTEN_MS - 1)
    assert not first.must_wait(HERE)
    first.sent(HERE, NOW_MS + 2 * FORGOTTEN_MS - 2)  # an hour counts from the last
    assert not first.must_wait(HERE)


def test_after_a_long_silence_a_record_is_a_first_one_again() -> None:
    first = FirstRecords()
    first.sent(HERE, NOW_MS)
    first.written()
    first.sent(HERE, NOW_MS + FORGOTTEN_MS)
    assert first.must_wait(HERE)

"""Which answers make room: those that were not used for the longest, and after a restart the very same."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.cached import CacheRecord, Fill
from schemas.response import Output
from streams.state.kept_answers import KeptAnswers
from tests.unit.examples import NOW_MS
from tests.unit.test_kept_answers import HOUR_MS, KIB, answers, fill, started

ROOM = 32 * KIB


class Used:
    """A cache whose hits write what the stage writes: once more what comes near its turn."""

    def __init__(self) -> None:
        self.state = KeptAnswers(ROOM)
        self.log: list[CacheRecord] = []

    def store(self, name: str, size: int = KIB, *, stored_at_ms: int = NOW_MS) -> None:
        made = fill(f"acme/q/{name}", output=Output(content="x" * size))
        self._write(replace(made, stored_at_ms=stored_at_ms))

    def use(self, name: str) -> bool:
        found = self.state.fill(f"acme/q/{name}", NOW_MS)
        if found is not None and self.state.fades(found, NOW_MS):
            self._write(replace(found, again=True))
        return found is not None

    def _write(self, record: Fill) -> None:
        self.log.append(record)
        self.state.apply(record, NOW_MS)

    @property
    def order(self) -> list[str]:
        return [each.entry for each in self.state.fills()]


def test_what_is_used_stays_however_much_else_comes_and_what_is_not_makes_room() -> None:
    cache = Used()
    cache.store("popular")
    cache.store("forgotten")
    for number in range(500):
        cache.store(str(number))
        assert cache.use("popular"), f"gone after {number} others"

    assert not cache.use("forgotten")


def test_what_is_used_is_written_again_once_for_half_a_room_of_others_and_not_at_each_use() -> None:
    cache = Used()
    cache.store("popular")
    for number in range(200):
        cache.store(str(number))
        for _ in range(5):
            cache.use("popular")

    again = [record for record in cache.log if isinstance(record, Fill) and record.again]
    stored_bytes = sum(len(record.encode()) + 900 for record in cache.log if record not in again)
    assert 0 < len(again) <= stored_bytes // (ROOM // 2) + 1


@settings(deadline=None)
@given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 3_000)), max_size=120))
def test_who_takes_over_has_the_same_answers_and_lets_them_go_in_the_same_order(
    steps: list[tuple[bool, int, int]],
) -> None:
    cache = Used()
    for is_use, number, size in steps:
        if is_use:
            cache.use(str(number))
        else:
            cache.store(str(number), size)

    successor = KeptAnswers(ROOM)
    for record in cache.log:
        successor.apply(type(record).decode(record.encode()), NOW_MS)

    assert [each.entry for each in successor.fills()] == cache.order


def test_an_answer_that_is_written_again_replaces_no_newer_one_that_was_not_known_then() -> None:
    cache = Used()
    cache.store("q", 10)
    (old,) = cache.state.fills()
    cache.store("q", 20, stored_at_ms=NOW_MS + 1)
    (newer,) = cache.state.fills()

    cache.state.apply(replace(old, again=True), NOW_MS)

    assert list(cache.state.fills()) == [newer]


def test_an_answer_that_is_written_again_ends_no_question_that_is_being_asked_anew() -> None:
    flight = started(identity="acme/r-2")
    state = answers(fill(), flight)

    assert state.apply(replace(fill(), again=True), NOW_MS) == ()
    assert state.flight("acme/q/1", NOW_MS) == flight


def test_what_has_expired_is_not_written_again() -> None:
    cache = Used()
    cache.store("q")
    (kept,) = cache.state.fills()
    for number in range(8):
        cache.store(str(number))
    assert cache.state.fades(kept, NOW_MS)

    assert not cache.state.fades(kept, NOW_MS + HOUR_MS)

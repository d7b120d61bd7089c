"""What a worker holds for a partition: each event held back comes out once, in order, when woken or due."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from streams.runtime.partition import Parked, PartitionWork
from streams.runtime.stage import Stateless
from tests.unit.examples import NOW_MS, delivery

KEYS = ("acme/q/1", "acme/q/2", "globex/q/1")


def work() -> PartitionWork:
    return PartitionWork(Stateless())


def held(offset: int, *, until_ms: int = NOW_MS + 1_000) -> Parked:
    return Parked(delivery(offset=offset), f"event {offset}", NOW_MS, until_ms)


def offsets(released: list[Parked]) -> list[int]:
    return [each.delivery.offset for each in released]


def test_those_held_under_a_key_come_out_in_their_order_when_it_is_woken() -> None:
    mine = work()
    for offset in (9, 3, 5):
        mine.park("acme/q/1", held(offset))

    mine.wake(["acme/q/1"])

    assert offsets(mine.woken()) == [3, 5, 9]
    assert mine.woken() == []
    assert mine.parked_count == 0


def test_keys_woken_together_come_out_in_the_order_of_their_events() -> None:
    mine = work()
    mine.park("acme/q/1", held(1))
    mine.park("acme/q/2", held(2))
    mine.park("acme/q/1", held(3))

    mine.wake(["acme/q/2", "acme/q/1"])

    assert offsets(mine.woken()) == [1, 2, 3]


def test_a_key_that_holds_nobody_is_not_remembered_as_woken() -> None:
    mine = work()
    mine.wake(["acme/q/1"])

    mine.park("acme/q/1", held(1))

    assert mine.woken() == []
    assert mine.parked_count == 1


def test_those_whose_time_has_come_come_out_and_the_rest_stay() -> None:
    mine = work()
    mine.park("acme/q/1", held(5, until_ms=NOW_MS + 10))
    mine.park("acme/q/1", held(6, until_ms=NOW_MS + 11))
    mine.park("acme/q/2", held(4, until_ms=NOW_MS + 10))

    assert mine.due(NOW_MS + 9) == []
    assert offsets(mine.due(NOW_MS + 10)) == [4, 5]
    assert mine.parked_count == 1


def test_who_is_woken_and_due_comes_out_once() -> None:
    mine = work()
    mine.park("acme/q/1", held(1))
    mine.wake(["acme/q/1"])

    assert offsets(mine.due(NOW_MS + 1_000) + mine.woken()) == [1]


def test_each_topic_has_a_frontier_of_its_own_and_they_count_together() -> None:
    mine = work()
    mine.frontier("llm.validated").take(7)
    mine.frontier("llm.calls").take(7)

    mine.frontier("llm.calls").finish(7)

    assert mine.frontier("llm.calls").next_offset == 8
    assert mine.frontier("llm.validated").next_offset is None
    assert mine.unfinished == 1


class Holding(RuleBasedStateMachine):
    """Nobody is held twice, let out twice or forgotten, in whatever order events come, wake and fall due."""

    def __init__(self) -> None:
        super().__init__()
        self.work = work()
        self.now_ms = NOW_MS
        self.offset = 0
        self.inside: dict[int, tuple[str, int]] = {}
        self.woken: set[str] = set()

    @rule(key=st.sampled_from(KEYS), wait_ms=st.integers(1, 50))
    def an_event_is_held_back(self, key: str, wait_ms: int) -> None:
        self.offset += 1
        self.inside[self.offset] = (key, self.now_ms + wait_ms)
        self.work.park(key, held(self.offset, until_ms=self.now_ms + wait_ms))

    @rule(keys=st.lists(st.sampled_from((*KEYS, "nobody")), max_size=3))
    def keys_are_woken(self, keys: list[str]) -> None:
        self.woken |= {key for key in keys if key in {where for where, _ in self.inside.values()}}
        self.work.wake(keys)

    @rule()
    def the_woken_are_let_out(self) -> None:
        expected = [offset for offset, (key, _) in self.inside.items() if key in self.woken]
        self.woken.clear()
        self._are_let_out(self.work.woken(), expected)

    @rule(passed_ms=st.integers(0, 30))
    def time_passes(self, passed_ms: int) -> None:
        self.now_ms += passed_ms
        expected = [offset for offset, (_, until_ms) in self.inside.items() if until_ms <= self.now_ms]
        self._are_let_out(self.work.due(self.now_ms), expected)

    def _are_let_out(self, released: list[Parked], expected: list[int]) -> None:
        assert offsets(released) == sorted(expected)
        for offset in expected:
            del self.inside[offset]

    @invariant()
    def nobody_is_forgotten(self) -> None:
        assert self.work.parked_count == len(self.inside)


TestHolding = Holding.TestCase
TestHolding.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)

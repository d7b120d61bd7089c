"""Tenants take turns: a flood waits for itself."""

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streams.invoke.turns import Turns

WEIGHTS = {"acme": 1, "globex": 3, "initech": 2}


def turns(**weights: int) -> Turns[int]:
    return Turns(lambda whose: weights.get(whose, 1))


def order(waiting: Turns[int]) -> list[str]:
    return [waiting.take()[0] for _ in range(len(waiting))]


def test_a_flood_that_was_there_first_waits_one_turn_for_each_that_comes_after() -> None:
    waiting = turns()
    for number in range(10_000):
        waiting.add("flood", number)
    for whose in ("acme", "globex"):
        waiting.add(whose, 0)

    assert order(waiting)[:4] == ["flood", "acme", "globex", "flood"]


def test_a_heavier_tenant_has_as_many_in_its_turn_as_it_weighs() -> None:
    waiting = turns(globex=3)
    for number in range(6):
        for whose in ("acme", "globex"):
            waiting.add(whose, number)

    assert order(waiting)[:8] == ["acme", "globex", "globex", "globex"] * 2


def test_who_is_alone_waits_for_nobody() -> None:
    waiting = turns()
    for number in range(3):
        waiting.add("acme", number)

    assert [waiting.take() for _ in range(3)] == [("acme", 0), ("acme", 1), ("acme", 2)]


class Waiting(RuleBasedStateMachine):
    """Each comes out once, a tenant's own in their order, and nobody is passed over for longer than a turn of each
    other.
    """

    def __init__(self) -> None:
        super().__init__()
        self.turns = turns(**WEIGHTS)
        self.model: dict[str, deque[int]] = {whose: deque() for whose in WEIGHTS}
        self.passed: dict[str, dict[str, int]] = {whose: dict.fromkeys(WEIGHTS, 0) for whose in WEIGHTS}
        self.number = 0

    @rule(whose=st.sampled_from(sorted(WEIGHTS)), count=st.integers(1, 4))
    def some_come(self, whose: str, count: int) -> None:
        for _ in range(count):
            self.number += 1
            self.turns.add(whose, self.number)
            self.model[whose].append(self.number)

    @precondition(lambda self: any(self.model.values()))
    @rule()
    def one_goes(self) -> None:
        whose, item = self.turns.take()
        assert item == self.model[whose].popleft()
        self.passed[whose] = dict.fromkeys(WEIGHTS, 0)
        for other, mine in self.model.items():
            if other != whose and mine:
                self.passed[other][whose] += 1
                assert self.passed[other][whose] <= WEIGHTS[whose]

    @rule(of=st.integers(2, 3))
    def some_give_up(self, of: int) -> None:
        for whose, mine in self.model.items():
            for item in mine:
                if item % of == 0:
                    self.turns.remove(whose, item)
            self.model[whose] = deque(item for item in mine if item % of)
            self.passed[whose] = dict.fromkeys(WEIGHTS, 0)

    @invariant()
    def all_are_there(self) -> None:
        assert len(self.turns) == sum(map(len, self.model.values()))
        assert sorted(self.turns.oldest()) == sorted(mine[0] for mine in self.model.values() if mine)


TestWaiting = Waiting.TestCase
TestWaiting.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)

"""Vectors are made beside the decisions, once for each sentence, within bounds; and a model that fails stops nobody."""

import threading
from collections.abc import Callable

from scripts.stack.readiness import holds_within
from streams.semantic.background import PAUSE_S, Background
from streams.semantic.embedder import PATIENCE_S, UnfitModelError, Vector

WITHIN_S = 10.0


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.at_s = 100.0

    def __call__(self) -> float:
        return self.at_s

    def pass_s(self, seconds: float) -> None:
        self.at_s += seconds


class Model:
    """Makes vectors when it is let, and counts them."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.taken: list[str] = []
        self.made: list[str] = []
        self.takes: Callable[[], None] = lambda: None

    def load(self) -> Callable[[str], Vector]:
        return self._embed

    def _embed(self, text: str) -> Vector:
        self.taken.append(text)
        self.go.wait(WITHIN_S)
        self.takes()
        if text == "bad":
            raise ZeroDivisionError(text)
        self.made.append(text)
        return text.encode()


def test_a_vector_is_pending_until_it_is_made_and_made_once_for_all_who_ask() -> None:
    model = Model()
    embedder = Background("m", model.load)

    assert [embedder.vector("a") for _ in range(3)] == ["pending"] * 3
    model.go.set()

    assert holds_within(WITHIN_S, lambda: embedder.vector("a") == b"a")
    assert model.made == ["a"]


def test_a_text_that_the_model_does_not_see_whole_has_no_vector_and_is_not_taken_up_again() -> None:
    asked: list[str] = []

    def none_of(text: str) -> None:
        asked.append(text)

    embedder = Background("m", lambda: none_of)

    assert holds_within(WITHIN_S, lambda: embedder.vector("a") == "unavailable")
    assert [embedder.vector("a") for _ in range(3)] == ["unavailable"] * 3
    assert asked == ["a"]


def test_more_than_can_be_made_soon_are_not_waited_for() -> None:
    model = Model()
    embedder = Background("m", model.load, most_waiting=2)
    assert [embedder.vector(text) for text in "ab"] == ["pending"] * 2

    assert embedder.vector("c") == "unavailable"
    model.go.set()

    assert holds_within(WITHIN_S, lambda: embedder.vector("a") == b"a" and embedder.vector("b") == b"b")
    assert embedder.vector("c") == "pending"


def test_what_nobody_waits_for_any_more_is_passed_over() -> None:
    """As after the model was loaded for long: those who came last are not held up by those who have gone on."""
    model, clock = Model(), Clock()
    embedder = Background("m", model.load, now_s=clock)
    assert embedder.vector("taken up at once") == "pending"
    assert holds_within(WITHIN_S, lambda: model.taken == ["taken up at once"])
    assert embedder.vector("gone on") == "pending"
    clock.at_s += PATIENCE_S + 0.1
    assert embedder.vector("waits") == "pending"

    model.go.set()

    assert holds_within(WITHIN_S, lambda: embedder.vector("waits") == b"waits")
    assert model.made == ["taken up at once", "waits"]


def test_who_would_wait_too_long_behind_others_goes_on_at_once() -> None:
    model, clock = Model(), Clock()
    embedder = Background("m", model.load, now_s=clock)
    model.go.set()
    model.takes = lambda: clock.pass_s(2.0)
    for number in range(10):
        text = f"before {number}"
        assert holds_within(WITHIN_S, lambda text=text: embedder.vector(text) == text.encode())
    model.go.clear()
    queued = [embedder.vector(f"queued {number}") for number in range(4)]

    assert queued == ["pending", "pending", "pending", "unavailable"], "at some two seconds each"
    model.go.set()


def test_what_was_not_used_for_the_longest_is_forgotten() -> None:
    model = Model()
    model.go.set()
    embedder = Background("m", model.load, most_known=2)
    for text in "ab":
        assert holds_within(WITHIN_S, lambda text=text: embedder.vector(text) == text.encode())
    assert embedder.vector("a") == b"a"
    assert holds_within(WITHIN_S, lambda: embedder.vector("c") == b"c")

    assert embedder.vector("a") == b"a"
    assert embedder.vector("b") == "pending"


def test_a_model_that_cannot_be_loaded_or_fails_is_done_without() -> None:
    def missing() -> Callable[[str], Vector]:
        raise ModuleNotFoundError("there is no such model")

    absent = Background("m", missing)
    assert absent.vector("a") == "pending"
    assert holds_within(WITHIN_S, lambda: absent.vector("a") == "unavailable")

    model = Model()
    model.go.set()
    failing = Background("m", model.load)
    failing.vector("bad")
    assert holds_within(WITHIN_S, lambda: failing.vector("other") == "unavailable")


class Time:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def test_one_sentence_at_which_the_model_fails_ends_it_for_a_while_only_and_is_not_taken_up_again() -> None:
    model, now_s = Model(), Time()
    model.go.set()
    embedder = Background("m", model.load, now_s=now_s)
    embedder.vector("bad")
    assert holds_within(WITHIN_S, lambda: embedder.vector("other") == "unavailable")

    now_s.now_s += PAUSE_S

    assert holds_within(WITHIN_S, lambda: embedder.vector("other") == b"other")
    assert embedder.vector("bad") == "unavailable"
    assert holds_within(WITHIN_S, lambda: embedder.vector("another") == b"another")


def test_a_model_that_cannot_be_loaded_just_now_is_loaded_later_and_one_that_is_not_there_never() -> None:
    model, now_s, loads = Model(), Time(), list[str]()
    model.go.set()

    def load() -> Callable[[str], Vector]:
        loads.append("")
        if len(loads) == 1:
            raise MemoryError
        return model.load()

    def missing() -> Callable[[str], Vector]:
        raise UnfitModelError("not installed")

    embedder, absent = Background("m", load, now_s=now_s), Background("n", missing, now_s=now_s)
    for each in (embedder, absent):
        each.vector("a")
        assert holds_within(WITHIN_S, lambda each=each: each.vector("a") == "unavailable")

    now_s.now_s += PAUSE_S

    assert holds_within(WITHIN_S, lambda: embedder.vector("a") == b"a")
    assert len(loads) == 2
    assert absent.vector("a") == "unavailable"

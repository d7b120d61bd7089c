"""Vectors are made beside the decisions, once for each sentence, within bounds; and a model that fails stops nobody."""

import threading
from collections.abc import Callable

from scripts.stack.readiness import holds_within
from streams.semantic.background import Background
from streams.semantic.embedder import Vector

WITHIN_S = 10.0


class Model:
    """Makes vectors when it is let, and counts them."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.made: list[str] = []

    def load(self) -> Callable[[str], Vector]:
        return self._embed

    def _embed(self, text: str) -> Vector:
        self.go.wait(WITHIN_S)
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

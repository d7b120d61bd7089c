"""A library that says the same thing all the time is heard now and then; we are always heard."""

import logging

from streams.observe.repetition import Repetition


class Listener:
    def __init__(self) -> None:
        self.now_s = 0.0
        self._filter = Repetition(lambda: self.now_s)

    def hear(
        self, message: str, *, name: str = "aiokafka.conn", line: int = 1, level: int = logging.ERROR
    ) -> str | None:
        record = logging.LogRecord(name, level, "conn.py", line, message, (7,), None)
        return record.getMessage() if self._filter.filter(record) else None


def test_the_same_line_is_heard_once_and_later_with_how_often_it_was_not() -> None:
    listener = Listener()

    assert listener.hear("no broker %d") == "no broker 7"
    assert [listener.hear("no broker %d") for _ in range(5)] == [None] * 5
    listener.now_s = 10
    assert listener.hear("no broker %d") == "no broker 7 (5 like it held back)"
    listener.now_s = 20
    assert listener.hear("no broker %d") == "no broker 7"


def test_another_line_is_heard_at_once() -> None:
    listener = Listener()

    assert listener.hear("no broker %d")
    assert listener.hear("no metadata %d", line=2)
    assert listener.hear("no broker %d", name="faust.topics")


def test_our_own_lines_and_critical_ones_are_always_heard() -> None:
    listener = Listener()

    for _ in range(3):
        assert listener.hear("alert %d", name="streams.watch.outlet", level=logging.WARNING)
        assert listener.hear("crash %d", level=logging.CRITICAL)

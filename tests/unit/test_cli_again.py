"""What is done over and over survives what is away for a while; what is done once says what went wrong."""

import pytest

from scripts.cli.again import again
from scripts.cli.fault import Fault


class Ended(Exception):
    """Ends the loop from within the pause, as Ctrl-C does."""


def test_what_is_away_is_told_and_tried_again_when_its_time_has_come(capsys: pytest.CaptureFixture[str]) -> None:
    done: list[str] = []
    pauses: list[float] = []

    def work() -> None:
        if not pauses:
            raise Fault("ClickHouse is away")
        done.append("rolled up")

    def wait(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise Ended

    with pytest.raises(Ended):
        again(300, work, wait)
    assert (done, pauses) == (["rolled up"], [300, 300])
    assert capsys.readouterr().err == "millrace: ClickHouse is away; again in 300 s\n"


def test_what_is_done_once_fails_with_what_was_wrong() -> None:
    def work() -> None:
        raise Fault("ClickHouse is away")

    with pytest.raises(Fault, match="away"):
        again(0, work)


def test_a_mistake_of_our_own_is_not_repeated() -> None:
    def work() -> None:
        raise KeyError("day")

    with pytest.raises(KeyError):
        again(300, work)

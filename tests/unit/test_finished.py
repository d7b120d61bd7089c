"""What was completed is not called for again, for as long as it could come again."""

from streams.invoke.finished import REMEMBERED_MS, Finished
from tests.unit.examples import NOW_MS


def test_a_request_is_known_by_its_id_within_its_tenant() -> None:
    finished = Finished()
    finished.add("acme/r-1", NOW_MS)

    assert "acme/r-1" in finished
    assert "globex/r-1" not in finished
    assert "acme/r-2" not in finished


def test_a_request_is_forgotten_when_it_can_no_longer_come_again() -> None:
    finished = Finished()
    finished.add("acme/r-1", NOW_MS)
    finished.add("acme/r-2", NOW_MS + REMEMBERED_MS)
    assert "acme/r-1" in finished

    finished.add("acme/r-3", NOW_MS + REMEMBERED_MS + 1)

    assert "acme/r-1" not in finished
    assert "acme/r-2" in finished


def test_a_request_completed_again_is_remembered_from_then_on() -> None:
    finished = Finished()
    finished.add("acme/r-1", NOW_MS)
    finished.add("acme/r-2", NOW_MS)
    finished.add("acme/r-1", NOW_MS + 10)

    finished.add("acme/r-3", NOW_MS + REMEMBERED_MS + 5)

    assert "acme/r-1" in finished
    assert "acme/r-2" not in finished, "one that lives on must not shield the others from being let go"


def test_no_more_are_remembered_than_there_is_room_for_and_the_newest_are() -> None:
    finished = Finished(most=2)
    for request_id in ("r-1", "r-2", "r-1", "r-3"):
        finished.add(f"acme/{request_id}", NOW_MS)

    assert "acme/r-2" not in finished
    assert "acme/r-1" in finished
    assert "acme/r-3" in finished

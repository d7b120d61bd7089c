"""Whose metrics the verifier looks at."""

from pathlib import Path

from scripts.chaos.verify.observer import pages


def test_a_process_that_has_not_said_where_it_listens_is_left_out_until_it_has(tmp_path: Path) -> None:
    (tmp_path / "validate-1").write_text("4711")
    (tmp_path / "route-1").write_text("")

    assert list(pages(tmp_path)) == [("validate-1", 4711)]

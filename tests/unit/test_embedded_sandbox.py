"""What a confined thread can still do."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sinks.embedded.sandbox import SandboxUnavailableError, confine_thread


def confined(path: Path, work: Callable[[], object]) -> object:
    """What `work` returns in a thread that may write in `path` only."""

    def run() -> object:
        try:
            confine_thread(writable=[path, path / "missing"], readable=[])
        except SandboxUnavailableError as error:
            pytest.skip(str(error))
        return work()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run).result()


def test_files_inside_are_written_read_renamed_and_removed(tmp_path: Path) -> None:
    def work() -> str:
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "a").write_text("mine")
        (tmp_path / "folder" / "a").replace(tmp_path / "b")
        text = (tmp_path / "b").read_text()
        (tmp_path / "b").unlink()
        return text

    assert confined(tmp_path, work) == "mine"


@pytest.mark.parametrize("name", ["read", "write", "list", "link"])
def test_files_outside_are_out_of_reach(tmp_path: Path, name: str) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret").write_text("secret")
    attempts: dict[str, Callable[[], object]] = {
        "read": (outside / "secret").read_text,
        "write": lambda: (outside / "new").write_text("x"),
        "list": lambda: list(outside.iterdir()),
        "link": lambda: (outside / "secret").rename(inside / "secret"),
    }
    with pytest.raises(OSError, match=r"Permission denied|cross-device"):
        confined(inside, attempts[name])
    assert list(outside.iterdir()) == [outside / "secret"]


def test_other_threads_keep_their_rights(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    confined(inside, lambda: None)
    (tmp_path / "still").write_text("writable")

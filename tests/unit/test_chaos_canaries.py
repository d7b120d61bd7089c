"""A canary is found wherever it sits, and nothing is found that is not there."""

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.chaos.canaries import Canaries, Finding

CANARY = "canary-thyme-9c1f"
LOOKING = Canaries({"prompt": CANARY, "key": "sk-canary-77aa01"})
WAYS: dict[str, Callable[[str], bytes]] = {
    "as it is": lambda text: text.encode(),
    "in base64": lambda text: b64encode(text.encode()),
    "in hexadecimal": lambda text: text.encode().hex().encode(),
}


@given(st.sampled_from(sorted(WAYS)), st.text(max_size=9), st.text(max_size=9))
def test_a_canary_is_found_in_whatever_stands_around_it(way: str, before: str, after: str) -> None:
    assert LOOKING.in_bytes(b"{" + WAYS[way](before + CANARY + after) + b"}") == {"prompt"}


@given(st.binary(max_size=200))
def test_what_is_not_there_is_not_found(content: bytes) -> None:
    assert not LOOKING.in_bytes(content)


@pytest.mark.parametrize("at", [0, (1 << 20) - 5, (1 << 20) + 5, (2 << 20) - 9])
def test_a_canary_across_two_reads_of_a_large_file_is_found_and_named_but_not_repeated(tmp_path: Path, at: int) -> None:
    file = tmp_path / "some.log"
    file.write_bytes(b"." * at + CANARY.encode() + b"." * (1 << 20))
    assert list(LOOKING.in_files([file, tmp_path / "gone.log"])) == [Finding("prompt", str(file))]


def test_each_place_is_named_with_all_that_is_in_it() -> None:
    places = [("a row", b"nothing"), ("a header", f"{CANARY} sk-canary-77aa01".encode())]
    assert list(LOOKING.in_places(places)) == [Finding("key", "a header"), Finding("prompt", "a header")]


def test_a_canary_that_chance_would_write_is_refused() -> None:
    with pytest.raises(ValueError, match="too-short"):
        Canaries({"too-short": "thyme"})

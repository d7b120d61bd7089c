"""What docs/semantic-cache.md claims of the model, the guard and the threshold, on pairs written for this project."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from schemas.control import Semantic
from scripts.measure.likeness import PARAPHRASE, Judged, Pair, judge, rate, read_pairs, split, stored
from scripts.measure.semantic import by_kind, by_threshold
from streams.semantic.minilm import load, load_for_any

PAGE = Path(__file__).parents[2] / "docs" / "semantic-cache.md"
DEFAULT = Semantic().threshold


@pytest.fixture(scope="module")
def judged() -> Sequence[Judged]:
    return stored(read_pairs())


def test_the_set_is_large_and_has_every_kind_of_near_miss() -> None:
    kinds = Counter(pair.kind for pair in read_pairs())

    assert kinds.total() >= 300
    assert kinds[PARAPHRASE] >= 100
    assert {"negation", "number", "name", "date", "unit", "direction", "opposite", "language", "quoted"} < set(kinds)
    assert min(kinds.values()) >= 10


def test_the_default_threshold_and_the_guard_let_no_false_hit_of_the_set_through_and_half_of_the_paraphrases(
    judged: Sequence[Judged],
) -> None:
    alike, unlike = split(judged)

    assert [each.pair for each in unlike if each.is_hit(DEFAULT, guarded=True)] == []
    assert rate(alike, DEFAULT, guarded=True) >= 0.5
    assert rate(unlike, DEFAULT, guarded=False) > 0.15, "without the guard it would be one in six"


def test_the_page_shows_the_tables_as_they_are_measured(judged: Sequence[Judged]) -> None:
    page = PAGE.read_text(encoding="utf-8")

    for line in (*by_threshold(judged), *by_kind(judged, DEFAULT)):
        assert line in page, "run: python -m scripts.measure.semantic"


def test_what_was_measured_is_what_the_model_says(judged: Sequence[Judged]) -> None:
    """Of a few pairs: all of them take minutes."""
    some = judged[:: len(judged) // 6]

    measured = judge([each.pair for each in some], load_for_any(), load())

    for before, now in zip(some, measured, strict=True):
        assert now.similarity == pytest.approx(before.similarity, abs=0.003), before.pair
        assert now.is_whole == before.is_whole, before.pair


def test_what_the_model_does_not_see_whole_is_not_compared() -> None:
    embed, for_any = load(), load_for_any()
    seen, tail = "What does it mean? " + "+ " * 300, ("yes", "no")

    assert for_any(f"{seen}{tail[0]}") == for_any(f"{seen}{tail[1]}"), "it is cut off before they differ"
    assert [embed(f"{seen}{each}") for each in tail] == [None, None]
    assert for_any("Is it a 👍?") == for_any("Is it a 👎?"), "it knows neither"
    assert embed("Is it a 👍?") is None
    assert embed("Is it a thumb?") == for_any("Is it a thumb?")


def test_vectors_have_unit_length_and_are_apart_where_nothing_is_in_common() -> None:
    embed = load()
    one, other = (
        np.frombuffer(embed(text) or b"", dtype="<f2").astype(np.float32)
        for text in ("How do I reset my password?", "Bananas are yellow.")
    )

    assert (len(one), round(float(np.linalg.norm(one)), 2)) == (384, 1.0)
    assert one @ other < 0.2


def test_a_line_that_is_no_pair_is_told_by_its_number(tmp_path: Path) -> None:
    file = tmp_path / "pairs.txt"
    file.write_text("[number]\nOne | Two\n\nnothing here\n")
    with pytest.raises(ValueError, match=r"pairs\.txt:4: write it as"):
        read_pairs(file)

    file.write_text("# a remark\n[number]\nOne | Two\n")
    assert read_pairs(file) == [Pair("number", "One", "Two")]

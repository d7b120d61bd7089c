"""Points in time as people say them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.cli.fault import Fault
from scripts.cli.since import clock, since_ms, while_ms

NOW_MS = 1_795_219_200_000  # 2026-11-21 00:00 UTC


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [
        ("0s", NOW_MS),
        ("30m", NOW_MS - 1_800_000),
        ("24h", NOW_MS - 86_400_000),
        ("7d", NOW_MS - 604_800_000),
        ("2w", NOW_MS - 1_209_600_000),
        ("2026-11-20", NOW_MS - 86_400_000),
        ("2026-11-20T12:00", NOW_MS - 43_200_000),
        ("2026-11-20T13:00+01:00", NOW_MS - 43_200_000),
        ("2026-11-20T12:00:00Z", NOW_MS - 43_200_000),
        ("900000w", 0),
        ("1969-12-31", 0),
    ],
)
def test_a_while_counts_back_from_now_and_a_date_is_utc_unless_it_says_otherwise(text: str, expected_ms: int) -> None:
    assert since_ms(text, NOW_MS) == expected_ms


@pytest.mark.parametrize("text", ["", "h", "24", "-1h", "1.5h", "yesterday", "2026-13-01", "99999999999s"])
def test_anything_else_is_refused_with_what_can_be_said(text: str) -> None:
    with pytest.raises(Fault, match=r"is not a point in time; give 30m, 24h"):
        since_ms(text, NOW_MS)


@pytest.mark.parametrize("text", ["", "5", "5 minutes", "2026-11-20"])
def test_a_length_of_time_is_no_date(text: str) -> None:
    with pytest.raises(Fault, match="is not a length of time"):
        while_ms(text)


@given(st.integers(0, 999_999_999), st.sampled_from("smhdw"))
def test_a_while_ago_is_as_long_ago_as_it_is_long(number: int, unit: str) -> None:
    text = f"{number}{unit}"
    assert since_ms(text, NOW_MS) == max(NOW_MS - while_ms(text), 0)


def test_times_are_shown_in_utc_to_the_millisecond() -> None:
    assert clock(NOW_MS + 7) == "2026-11-21 00:00:00.007"

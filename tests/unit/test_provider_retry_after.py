"""How a provider's wish to be left alone is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.providers.retry_after import MAX_RETRY_AFTER_MS, retry_after_ms

NOW_MS = 1_795_219_200_000  # Sat, 21 Nov 2026 00:00:00 GMT


@pytest.mark.parametrize(
    ("headers", "wait_ms"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7_000),
        ({"retry-after": "0.25"}, 250),
        ({"retry-after": " 2 "}, 2_000),
        ({"retry-after": "0"}, 0),
        ({"retry-after-ms": "1500"}, 1_500),
        ({"retry-after-ms": "12.1"}, 13),
        ({"retry-after": "Sat, 21 Nov 2026 00:00:03 GMT"}, 3_000),
        ({"retry-after": "Sat, 21 Nov 2026 00:00:03 -0000"}, 3_000),
        ({"retry-after": "Fri, 20 Nov 2026 23:59:00 GMT"}, 0),
    ],
)
def test_seconds_milliseconds_and_dates_are_read(headers: dict[str, str], wait_ms: int | None) -> None:
    assert retry_after_ms(headers, NOW_MS) == wait_ms


def test_milliseconds_are_finer_than_seconds_and_win() -> None:
    assert retry_after_ms({"retry-after": "2", "retry-after-ms": "1200"}, NOW_MS) == 1_200


def test_seconds_stand_in_for_milliseconds_that_cannot_be_read() -> None:
    assert retry_after_ms({"retry-after": "2", "retry-after-ms": "soon"}, NOW_MS) == 2_000


@pytest.mark.parametrize("value", ["", "soon", "-1", "nan", "inf", "1e999", "Sat, 99 Nov 2026 00:00:00 GMT"])
def test_what_cannot_be_read_is_no_wish(value: str) -> None:
    assert retry_after_ms({"retry-after": value}, NOW_MS) is None


@pytest.mark.parametrize("value", ["86400", "1e300", "Sun, 21 Nov 2027 00:00:00 GMT"])
def test_no_header_parks_a_deployment_for_long(value: str) -> None:
    assert retry_after_ms({"retry-after": value}, NOW_MS) == MAX_RETRY_AFTER_MS


@given(st.sampled_from(["retry-after", "retry-after-ms"]), st.text())
def test_any_text_gives_a_bounded_wait_or_none(name: str, value: str) -> None:
    wait_ms = retry_after_ms({name: value}, NOW_MS)

    assert wait_ms is None or 0 <= wait_ms <= MAX_RETRY_AFTER_MS

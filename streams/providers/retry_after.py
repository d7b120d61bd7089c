"""How long a provider asks to be left alone, read from its headers; never longer than a bound of ours."""

import math
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

MAX_RETRY_AFTER_MS = 600_000
"""Ten minutes. Beyond that another deployment is the answer, and one odd header must not park this one for a day."""


def retry_after_ms(headers: Mapping[str, str], now_ms: int) -> int | None:
    """Milliseconds from `now_ms`; None when no header says so, or none that can be read.

    `retry-after-ms` is finer than `retry-after` (seconds or an HTTP date), so it is believed first.
    """
    wait_ms = _milliseconds(headers.get("retry-after-ms"), 1)
    if wait_ms is None:
        seconds = headers.get("retry-after")
        wait_ms = _milliseconds(seconds, 1_000)
        if wait_ms is None:
            wait_ms = _until(seconds, now_ms)
    return None if wait_ms is None else min(wait_ms, MAX_RETRY_AFTER_MS)


def _milliseconds(value: str | None, scale: int) -> int | None:
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return math.ceil(number * scale) if math.isfinite(number * scale) and number >= 0 else None


def _until(date: str | None, now_ms: int) -> int | None:
    try:
        when = parsedate_to_datetime(date or "")
        at_ms = int(when.replace(tzinfo=when.tzinfo or UTC).timestamp() * 1_000)
    except (ValueError, OverflowError):
        return None
    return max(0, at_ms - now_ms)

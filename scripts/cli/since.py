"""Points in time as people say them: `24h` ago, or a date."""

import re
from datetime import UTC, datetime

from scripts.cli.fault import Fault

_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
_AGO = re.compile(r"(\d{1,9})([smhdw])")

WAYS = "30m, 24h or 7d ago, or a date such as 2026-11-01 or 2026-11-01T09:30+01:00 (UTC if no zone)"


def since_ms(text: str, now_ms: int) -> int:
    """UTC, milliseconds since 1970. Raises Fault for what is neither a while nor a date."""
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return max(now_ms - int(ago[1]) * _UNITS_MS[ago[2]], 0)
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Fault(f"{text!r} is not a point in time; give {WAYS}") from None
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return max(int(aware.timestamp() * 1000), 0)


def while_ms(text: str) -> int:
    """How long a while is, in milliseconds. Raises Fault."""
    span = _AGO.fullmatch(text.strip())
    if span is None:
        raise Fault(f"{text!r} is not a length of time; give one such as 90s, 5m or 24h")
    return int(span[1]) * _UNITS_MS[span[2]]


def clock(at_ms: int) -> str:
    """UTC to the millisecond, as tables show it. A producer sets its records' times as it likes, beyond any year."""
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    except (ValueError, OverflowError, OSError):
        return f"{at_ms} ms"

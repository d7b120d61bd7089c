"""Whether clocks agree. Times of requests come from producers, and days of costs from them: a clock that is off puts
rows into the wrong day and makes limits too strict or too lax.
"""

from scripts.cli.check import Check
from streams.settings import CLOCK_SKEW_MS as TOLERATED_MS

_DAY_MS = 86_400_000


def against(name: str, their_ms: int, before_ms: int, after_ms: int) -> Check:
    """`their_ms` was read between our `before_ms` and `after_ms`: its error is at least the distance to that span."""
    ahead_ms = their_ms - after_ms if their_ms > after_ms else min(their_ms - before_ms, 0)
    if abs(ahead_ms) <= TOLERATED_MS:
        return Check(f"clock of {name}", f"within {TOLERATED_MS / 1000:g} s of ours")
    return Check(f"clock of {name}", _difference(ahead_ms), "set both machines' clocks by the same time server")


def newest_record(topic: str, newest_ms: int | None, now_ms: int) -> Check:
    """A record cannot be from the future: the newest one on a topic tells whether a writer's clock is ahead of ours."""
    name = f"clocks of the writers of {topic}"
    if newest_ms is None:
        return Check(name, "nothing was written yet")
    if newest_ms - now_ms <= TOLERATED_MS:
        return Check(name, f"none is more than {TOLERATED_MS / 1000:g} s ahead of ours")
    return Check(name, _difference(newest_ms - now_ms), "set the producers' clocks, or this one, by a time server")


def _difference(ahead_ms: int) -> str:
    return f"{abs(ahead_ms) / 1000:.1f} s {'ahead of' if ahead_ms > 0 else 'behind'} ours"

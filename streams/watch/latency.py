"""When a deployment's latency is news: `route` orders targets by what was last said. Pure; time comes in.

Each word costs every stage a new view of the configuration, so little is said: what has moved, and now and then that it
has not, since what is old is not believed.
"""

from collections import Counter
from collections.abc import Iterable

from schemas.routing import Latency
from streams.watch.health import Bucket, percentile_ms

SOONEST_MS = 5_000
AGAIN_MS = 60_000
"""A third of the time for which it is believed: see FRESH_MS in streams/routing/order.py."""
_MOVED_PERCENT = 20


def moved(deployment: str, before: Latency | None, buckets: Iterable[Bucket], now_ms: int) -> Latency | None:
    """What to publish; None when nothing need be said, or nothing is known."""
    answered: Counter[int] = Counter()
    for bucket in buckets:
        answered.update(bucket.answered)
    if not answered:
        return None
    p50_ms, p95_ms = percentile_ms(answered, 0.5), percentile_ms(answered, 0.95)
    after = Latency(name=deployment, p50_ms=p50_ms, p95_ms=p95_ms, calls=answered.total(), at_ms=now_ms)
    if before is None:
        return after
    age_ms = now_ms - before.at_ms
    has_moved = _differ(before.p50_ms, p50_ms) or _differ(before.p95_ms, p95_ms)
    return after if age_ms >= AGAIN_MS or (has_moved and age_ms >= SOONEST_MS) else None


def _differ(before_ms: int, after_ms: int) -> bool:
    return abs(after_ms - before_ms) * 100 > _MOVED_PERCENT * before_ms

"""How the whole fleet slows down for a deployment that answers 429, and finds its way back: half at once, then a step
at a time. Pure; its state is the object on `llm.control`.

What a deployment really allows is nobody's to know: its limits may be other than configured, or somebody else may use
the same key. So the pace is measured by what it answered, whether or not limits are configured.
"""

from collections.abc import Sequence

from schemas.control import Slowdown
from streams.watch.health import Bucket

STEP_MS = 5_000
STEPS = 5
"""From half of its goal to all of it."""
LASTS_MS = 60_000
"""A slowdown that `watch` has not renewed for so long is over: `watch` is down, and nothing may stay slow for ever."""
HEEDED_MS = 2_000
"""Calls begun so soon after a cut may be of workers that have not heard of it."""
OVERRUN_SHARE = 3
"""One in so many, or more, must be a 429: who asks twice of what is allowed is told so every other time, and who asks a
little more loses little by it. A provider that turns a few away whatever it is asked would be asked less and less, and
turn away as many of those: with one in twenty the pace fell to a fiftieth.
"""
FEWEST = 3
"""So many 429s, or more: at a slow pace, and at the beginning, one is soon one in ten."""


def answered_per_minute(buckets: Sequence[Bucket], bucket_s: int) -> int:
    """By the best of the buckets, one or more: the whole window would make a limit of a lull in it. At least 1."""
    return max(1, *((bucket.calls - bucket.failures) * 60 // bucket_s for bucket in buckets))


def is_overrun(buckets: Sequence[Bucket]) -> bool:
    """Whether so many are turned away that asking less would help. `buckets` of the last few seconds."""
    limited = sum(bucket.limited for bucket in buckets)
    return limited >= FEWEST and limited * OVERRUN_SHARE >= limited + sum(bucket.calls for bucket in buckets)


def after_refusal(
    slowdown: Slowdown | None, name: str, per_minute: int, started_at_ms: int, now_ms: int
) -> Slowdown | None:
    """After a 429 to a call that began at that time; `per_minute` have been answered. The object that was given when
    that says nothing new.
    """
    is_in_force = slowdown is not None and now_ms < slowdown.until_ms
    if slowdown is not None and started_at_ms < slowdown.cut_at_ms + HEEDED_MS:
        return slowdown
    pace, goal = per_minute, per_minute
    if slowdown is not None and is_in_force:
        pace, goal = min(slowdown.requests_per_minute, per_minute), slowdown.goal_per_minute
    return Slowdown(
        name=name,
        requests_per_minute=max(1, pace // 2),
        goal_per_minute=goal,
        cut_at_ms=now_ms,
        until_ms=now_ms + LASTS_MS,
    )


def is_due(slowdown: Slowdown, now_ms: int) -> bool:
    """For its next step."""
    return now_ms < slowdown.until_ms and now_ms >= slowdown.until_ms - LASTS_MS + STEP_MS


def after_time(slowdown: Slowdown, now_ms: int) -> Slowdown:
    if not is_due(slowdown, now_ms):
        return slowdown
    goal = slowdown.goal_per_minute
    pace = min(goal, slowdown.requests_per_minute - (-goal // (2 * STEPS)))
    until_ms = now_ms if pace == goal else now_ms + LASTS_MS
    return slowdown.model_copy(update={"requests_per_minute": pace, "until_ms": until_ms})

"""When each request is due. Drawn before the first is sent, so that no answer, however late, delays a question."""

from random import Random


def timetable(seed: int, count: int, per_second: float | None) -> list[float]:
    """Seconds since the start, in order: a Poisson process, or all at once where there is no rate."""
    if per_second is None:
        return [0.0] * count
    draw = Random(seed)  # noqa: S311  # a schedule that can be drawn again, not a secret
    due: list[float] = []
    at_s = 0.0
    for _ in range(count):
        at_s += draw.expovariate(per_second)
        due.append(at_s)
    return due

"""When what is due: a Poisson process that answers have no part in, and what follows each arrival."""

import heapq
from collections.abc import Iterator
from itertools import count
from random import Random

from scripts.chaos.load.mix import arrival, records_per_arrival
from scripts.chaos.load.sending import Sending


def timetable(seed: int, per_second: float, start_ms: int) -> Iterator[tuple[float, Sending]]:
    """Without end, in order of time: seconds since `start_ms` (UTC, milliseconds since 1970), and the record due then.

    `per_second` counts records. The same arguments give the same records at the same seconds.
    """
    gaps = Random(seed)  # noqa: S311  # a schedule that can be drawn again, not a secret
    arrivals_per_second = per_second / records_per_arrival()
    later: list[tuple[float, int, Sending]] = []
    order = count()
    at_s = 0.0
    for number in count():
        at_s += gaps.expovariate(arrivals_per_second)
        while later and later[0][0] <= at_s:
            due_s, _, sending = heapq.heappop(later)
            yield due_s, sending
        for sending in arrival(seed, number, start_ms + round(at_s * 1000)):
            if sending.after_s > 0:
                heapq.heappush(later, (at_s + sending.after_s, next(order), sending))
            else:
                yield at_s, sending

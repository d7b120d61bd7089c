"""A worker's part of what a provider allows all of them: by the dispatch partitions that it holds."""

from msgspec import Struct

from streams.gcra import Rate

_SECOND_US = 1_000_000
_MINUTE_S = 60


class Share(Struct, frozen=True):
    """`held` of all `of` partitions. Whoever holds none has nothing."""

    held: frozenset[int]
    of: int

    @property
    def parts(self) -> int:
        return len(self.held)

    def places(self, whole: int) -> int:
        """Each partition has its places, spread evenly over all: the workers' add up to the whole, whoever holds which.
        Only while there are more workers than places are there more calls at once, since each has one.
        """
        if not self.held:
            return 0
        mine = sum((p + 1) * whole // self.of - p * whole // self.of for p in self.held)
        return max(mine, 1)

    def rate(self, per_minute: int, burst_s: int) -> Rate:
        """At a rate and with a burst that together make no more than this share of `per_minute` in any minute. A burst
        is one call at least. Only for a worker that holds something.
        """
        stretch_s = _MINUTE_S + burst_s
        return Rate(
            units=per_minute * self.parts,
            burst=max(per_minute * self.parts * burst_s // (stretch_s * self.of), 1),
            period_us=stretch_s * _SECOND_US * self.of,
        )


WHOLE = Share(frozenset({0}), 1)

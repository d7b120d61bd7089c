"""The generic cell rate algorithm (ITU-T I.371): a rate limit whose whole memory is one point in time.

The theoretical arrival time moves ahead by one interval per unit of cost and stands still otherwise. A request fits
when that time is not further ahead than the burst allows. It needs no timer and no clock but the event's own.
"""

from msgspec import Struct

MINUTE_US = 60_000_000


class Rate(Struct, frozen=True):
    """So many units a period, and at most `burst` units at once."""

    units: int
    burst: int
    period_us: int = MINUTE_US

    def span_us(self, units: int) -> int:
        """How far `units` move the arrival time. Rounded up, so that rounding never lets more through."""
        return -(-units * self.period_us // self.units)


class Fits(Struct, frozen=True):
    arrival_us: int


class TooSoon(Struct, frozen=True):
    """It fits after `retry_after_us`, if nothing else comes first."""

    retry_after_us: int


class TooLarge(Struct, frozen=True):
    """It asks for more than may ever come at once."""

    burst: int


def meter(rate: Rate, arrival_us: int | None, now_us: int, units: int) -> Fits | TooSoon | TooLarge:
    if units > rate.burst:
        return TooLarge(rate.burst)
    start_us = now_us if arrival_us is None else max(now_us, arrival_us)
    next_us = start_us + rate.span_us(units)
    ahead_us = next_us - now_us - rate.span_us(rate.burst)
    return Fits(next_us) if ahead_us <= 0 else TooSoon(ahead_us)


def settle(rate: Rate, arrival_us: int, units: int, held_until_us: int, now_us: int) -> int:
    """The arrival time after learning that so many units more (or, if negative, fewer) were used than were held.

    `held_until_us` is the arrival time that holding them led to. What lies before now has gone by: others waited for
    it, and to give it back as well would let them through twice.
    """
    still_held_us = max(0, held_until_us - now_us)
    return arrival_us + max(rate.span_us(units), -still_held_us)

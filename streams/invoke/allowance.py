"""What one deployment may still be asked by this worker: calls at once, calls a minute, tokens a minute.

Pure: time comes in, in milliseconds. Units are taken before a call, and tokens settled when it has said what it used.
"""

from dataclasses import dataclass

from msgspec import Struct

from schemas.control import Deployment, Slowdown
from streams.gcra import Rate, settle
from streams.invoke.share import Share

ROUGH_CALL_MS = 1_000
"""How long a call takes where none has ended yet."""
_NEWEST = 0.1  # how much one more call counts in the average


class Terms(Struct, frozen=True):
    """This worker's part of a deployment's limits. None: no limit."""

    places: int
    requests: Rate | None = None
    tokens: Rate | None = None
    refunds: bool = False


def terms_of(deployment: Deployment, slowdown: Slowdown | None, share: Share, now_ms: int) -> Terms:
    limits, places = deployment.limits, deployment.max_concurrency
    if not share.held:
        return Terms(0)
    if limits.max_concurrency is not None:
        places = min(places, share.places(limits.max_concurrency))
    requests = limits.requests_per_minute
    if slowdown is not None and now_ms < slowdown.until_ms:
        requests = min(requests or slowdown.requests_per_minute, slowdown.requests_per_minute)
    counted = limits.tokens_counted or ("used" if deployment.provider == "anthropic" else "asked")
    return Terms(
        places,
        None if requests is None else share.rate(requests, limits.burst_s),
        None if limits.tokens_per_minute is None else share.rate(limits.tokens_per_minute, limits.burst_s),
        counted == "used",
    )


class Ahead(Struct, frozen=True):
    """Those who wait already: so many calls, with so many tokens in all."""

    calls: int = 0
    tokens: int = 0


NOBODY = Ahead()


class Hold(Struct, frozen=True):
    """What a call has taken; `until_us` is the tokens' arrival time that this led to, None where there is no limit."""

    tokens: int
    taken_ms: int
    until_us: int | None

    @property
    def is_metered(self) -> bool:
        return self.until_us is not None


@dataclass(slots=True)
class Allowance:
    """Arrival times are those of `streams.gcra`, in microseconds; that of the tokens is a time at `tokens_rate`."""

    at_once: int = 0
    requests_us: int | None = None
    tokens_us: int | None = None
    tokens_rate: Rate | None = None
    call_ms: float = ROUGH_CALL_MS

    def wait_ms(self, terms: Terms, tokens: int, now_ms: int, ahead: Ahead = NOBODY) -> int:
        """How long until a call with so many tokens may begin; 0: at once."""
        self.follow(terms, now_ms)
        now_us = now_ms * 1_000
        wait_us = 0
        if terms.requests is not None:
            wait_us = _wait_us(terms.requests, self._requests_us(terms.requests, now_us), now_us, 1, ahead.calls)
        if terms.tokens is not None:
            wait_us = max(wait_us, _wait_us(terms.tokens, self.tokens_us or now_us, now_us, tokens, ahead.tokens))
        return -(-wait_us // 1_000)

    def busy_ms(self, terms: Terms, ahead: Ahead) -> int:
        """How long a call waits for one of the calls at once to end, about; 0: not at all."""
        excess = self.at_once + ahead.calls + 1 - terms.places
        return 0 if excess <= 0 else round(self.call_ms * -(-excess // max(terms.places, 1)))

    def take(self, terms: Terms, tokens: int, now_ms: int) -> Hold:
        self.follow(terms, now_ms)
        now_us = now_ms * 1_000
        self.at_once += 1
        if terms.requests is not None:
            arrival_us = max(now_us, self._requests_us(terms.requests, now_us))
            self.requests_us = arrival_us + terms.requests.span_us(1)
        if terms.tokens is not None:
            self.tokens_us = max(now_us, self.tokens_us or now_us) + terms.tokens.span_us(tokens)
        return Hold(tokens, now_ms, None if terms.tokens is None else self.tokens_us)

    def give_back(self, hold: Hold, terms: Terms, used: int | None, now_ms: int) -> None:
        """`used` tokens, or None where that is not known: then it was what was asked for."""
        self.follow(terms, now_ms)
        self.at_once -= 1
        if used is None:
            return
        self.call_ms += (now_ms - hold.taken_ms - self.call_ms) * _NEWEST
        if terms.tokens is not None and self.tokens_us is not None and hold.until_us is not None:
            more = used - hold.tokens
            if more > 0 or terms.refunds:
                self.tokens_us = settle(terms.tokens, self.tokens_us, more, hold.until_us, now_ms * 1_000)

    def release(self, hold: Hold, terms: Terms) -> None:
        """There was no call after all. `terms` are followed already."""
        self.at_once -= 1
        if terms.requests is not None and self.requests_us is not None:
            self.requests_us -= terms.requests.span_us(1)
        if terms.tokens is not None and self.tokens_us is not None and hold.is_metered:
            self.tokens_us -= terms.tokens.span_us(hold.tokens)

    def rescale(self, before: Share, after: Share, now_ms: int) -> None:
        """Calls that are owed stay owed: with half of the share it takes twice as long. Both hold something."""
        now_us, parts = now_ms * 1_000, (before.parts * after.of, before.of * after.parts)
        self.requests_us = _rescaled(self.requests_us, now_us, *parts)

    def follow(self, terms: Terms, now_ms: int) -> None:
        """Tokens that are owed stay owed when their rate changes: at half of it, that takes twice as long."""
        before, after = self.tokens_rate, terms.tokens
        if after is None or after == before:
            return
        self.tokens_rate = after
        if before is not None:
            times = (before.units * after.period_us, before.period_us * after.units)
            self.tokens_us = _rescaled(self.tokens_us, now_ms * 1_000, *times)

    def _requests_us(self, rate: Rate, now_us: int) -> int:
        """A worker begins with one call at once and not with a burst: its predecessor may just have had that."""
        if self.requests_us is None:
            self.requests_us = now_us + rate.span_us(rate.burst - 1)
        # no call begins while more is owed: what is more than that was owed at a slower rate, which is over
        return min(self.requests_us, now_us + rate.span_us(rate.burst + 1))


def _wait_us(rate: Rate, arrival_us: int, now_us: int, units: int, ahead: int) -> int:
    """What is larger than a burst goes when nothing is owed, and what it is more is owed after it."""
    allowed_us = rate.span_us(max(rate.burst, units))
    return max(max(now_us, arrival_us) + rate.span_us(ahead + units) - now_us - allowed_us, 0)


def _rescaled(arrival_us: int | None, now_us: int, times: int, of: int) -> int | None:
    if arrival_us is None or arrival_us <= now_us:
        return arrival_us
    return now_us + -(-(arrival_us - now_us) * times // of)

"""Randomness that can be replayed: every draw is a pure function of the seed, what is asked and what it is for."""

import math
from hashlib import blake2b
from statistics import NormalDist

import orjson

from scripts.simulator.shapes import Object

_STANDARD = NormalDist()
_SCALE = 2.0**-64

# Fields that say how an answer travels or who pays for it. Leaving them out makes a streamed answer and a whole
# one the same text, and a retry under another label the same request.
_TRANSPORT = frozenset({"stream", "stream_options", "user", "metadata", "store", "service_tier", "safety_identifier"})


def identity(endpoint: str, body: Object) -> bytes:
    """16 bytes that two requests share exactly when they ask the same model the same thing."""
    asked = {name: value for name, value in body.items() if name not in _TRANSPORT}
    return blake2b(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS), digest_size=16, key=endpoint.encode()).digest()


def number(seed: int, identity: bytes, purpose: str) -> int:
    """A uniform 64-bit number."""
    digest = blake2b(identity + purpose.encode(), digest_size=8, key=b"%d" % seed).digest()
    return int.from_bytes(digest, "big")


def unit(seed: int, identity: bytes, purpose: str) -> float:
    """A uniform number in the open interval (0, 1)."""
    # A number at either end of the 64 bits rounds to 0 or 1, where the normal distribution has no quantile.
    return min(max((number(seed, identity, purpose) + 0.5) * _SCALE, 1e-12), 1 - 1e-12)


def lognormal(median: float, spread: float, u: float) -> float:
    """The quantile `u` of a lognormal distribution; `spread` is the sigma of its logarithm."""
    return median * math.exp(spread * _STANDARD.inv_cdf(u))

"""What arrives: a pure function of the seed, the arrival's number and the time, which only deadlines depend on.

One arrival is up to four records: those that ask the same at once, or the same again a little later.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from schemas.base import dump_json
from scripts.chaos.load import bad, canaries
from scripts.chaos.load.question import question
from scripts.chaos.load.sending import Kind, Sending

_WEIGHTS: Mapping[Kind, int] = {
    "plain": 300,
    "streamed": 200,
    "json": 60,
    "tool": 60,
    "session": 80,
    "tight_deadline": 40,
    "wide_deadline": 60,
    "late": 10,
    "shared_across_tenants": 30,
    "shared_in_tenant": 30,
    "repeated": 30,
    "reused_id": 15,
    "missing_field": 12,
    "unknown_model": 12,
    "unknown_tenant": 8,
    "wrong_key": 12,
    "no_key": 8,
    "not_json": 8,
    "too_long_id": 8,
    "too_large": 1,
    "empty": 4,
}
_KINDS: tuple[Kind, ...] = (*_WEIGHTS,)
_TENANT_WEIGHTS = (45, 35, 20)
_COPIES = 3
_SECOND_MEAN_S = 2.0
"""How long after the first the same id comes again: often before the first is answered, sometimes after."""


def records_per_arrival() -> float:
    extra = _WEIGHTS["shared_across_tenants"] * (len(canaries.TENANTS) - 1)
    extra += _WEIGHTS["shared_in_tenant"] * (_COPIES - 1) + _WEIGHTS["repeated"] + _WEIGHTS["reused_id"]
    return 1 + extra / sum(_WEIGHTS.values())


def arrival(seed: int, number: int, now_ms: int) -> Sequence[Sending]:
    draw = Random(f"{seed}/{number}")  # noqa: S311  # a schedule that can be drawn again, not a secret
    kind = draw.choices(_KINDS, [*_WEIGHTS.values()])[0]
    tenant = draw.choices(canaries.TENANTS, _TENANT_WEIGHTS)[0]
    return _MAKERS.get(kind, _one)(kind, draw, tenant, number, now_ms)


Maker = Callable[[Kind, Random, str, int, int], Sequence[Sending]]


def _one(kind: Kind, draw: Random, tenant: str, number: int, now_ms: int) -> Sequence[Sending]:
    return [_sending(kind, draw, question(kind, draw, tenant, number, now_ms))]


def _across_tenants(kind: Kind, draw: Random, _tenant: str, number: int, now_ms: int) -> Sequence[Sending]:
    asked = question(kind, draw, canaries.SHARED, number, now_ms)
    return [_sending(kind, draw, _copy(asked, tenant, number, 0)) for tenant in canaries.TENANTS]


def _in_tenant(kind: Kind, draw: Random, tenant: str, number: int, now_ms: int) -> Sequence[Sending]:
    """At once, so that all but one wait for the first; the last comes when the answer is kept."""
    asked = question(kind, draw, tenant, number, now_ms)
    copies = [_sending(kind, draw, _copy(asked, tenant, number, copy)) for copy in range(_COPIES)]
    return [*copies[:-1], replace(copies[-1], after_s=_second_s(draw))]


def _repeated(kind: Kind, draw: Random, tenant: str, number: int, now_ms: int) -> Sequence[Sending]:
    first = _sending(kind, draw, question(kind, draw, tenant, number, now_ms))
    return [first, replace(first, after_s=_second_s(draw))]


def _reused(kind: Kind, draw: Random, tenant: str, number: int, now_ms: int) -> Sequence[Sending]:
    asked = question(kind, draw, tenant, number, now_ms)
    other = {**asked, "messages": [{"role": "user", "content": f"{canaries.prompt_mark(tenant, number)} differently"}]}
    # the same partition, so that the first is the first on its topic and at `limit` too
    return [
        replace(_sending(kind, draw, asked), key=tenant.encode()),
        replace(_sending(kind, draw, other), key=tenant.encode(), after_s=_second_s(draw)),
    ]


def _bad(kind: Kind, draw: Random, tenant: str, number: int, now_ms: int) -> Sequence[Sending]:
    good = _sending(kind, draw, question("plain", draw, tenant, number, now_ms))
    return [bad.spoilt(good, number)]


def _copy(asked: Mapping[str, Any], tenant: str, number: int, copy: int) -> dict[str, Any]:
    return {**asked, "tenant_id": tenant, "request_id": f"{tenant}-{number}-{copy}"}


def _second_s(draw: Random) -> float:
    return draw.expovariate(1 / _SECOND_MEAN_S)


def _sending(kind: Kind, draw: Random, asked: Mapping[str, Any]) -> Sending:
    """Most are keyed by tenant, as advised; some by session or by id, some not at all."""
    tenant, session = asked["tenant_id"], asked.get("session_id")
    keys = (tenant, tenant, f"{tenant}/{session}" if session else tenant, asked["request_id"], None)
    key: str | None = draw.choice(keys)
    return Sending(
        kind=kind,
        tenant_id=tenant,
        request_id=asked["request_id"],
        key=None if key is None else key.encode(),
        value=dump_json(asked),
        credentials=canaries.keys()[tenant].get_secret_value(),
    )


_MAKERS: Mapping[Kind, Maker] = {
    "shared_across_tenants": _across_tenants,
    "shared_in_tenant": _in_tenant,
    "repeated": _repeated,
    "reused_id": _reused,
    **dict.fromkeys(bad.KINDS, _bad),
}

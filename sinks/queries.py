"""What the calls cost, by one dimension. Every value that is asked for travels as a bound parameter."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, get_args

from sinks.amounts import AMOUNTS
from sinks.connection import Connection

Dimension = Literal["tenant", "feature", "model", "user", "provider", "deployment", "day", "hour"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
LABEL = "label:"

_KEYS: dict[str, str] = {
    "tenant": "tenant_id",
    "feature": "feature",
    "model": "model",
    "user": "user_id",
    "provider": "provider",
    "deployment": "deployment",
    "day": "toString(toDate(produced_at))",
    "hour": "formatDateTime(produced_at, '%Y-%m-%d %H:00')",
}
_COSTS = """
SELECT
    key, sum(requests), sum(attempts), sum(input), sum(output), sum(spent) AS cost, sum(saving), sum(unknowns),
    groupArray(toUnixTimestamp(slot)), groupArray(ifNull(spent, 0))
FROM
(
    SELECT
        toString({key}) AS key, toStartOfInterval(produced_at, toIntervalSecond({{slot_s:UInt32}}), 'UTC') AS slot,
        countIf(is_request) AS requests, countIf(is_attempt) AS attempts, sum(input_tokens) AS input,
        sum(output_tokens) AS output, sum(cost) AS spent, sum(saved) AS saving, sum(unknown) AS unknowns
    FROM {amounts}
    WHERE produced_at >= fromUnixTimestamp64Milli({{since_ms:Int64}}, 'UTC')
        AND produced_at < fromUnixTimestamp64Milli({{until_ms:Int64}}, 'UTC')
        AND (empty({{tenants:Array(String)}}) OR has({{tenants:Array(String)}}, tenant_id))
        AND (empty({{models:Array(String)}}) OR has({{models:Array(String)}}, model))
        AND (empty({{features:Array(String)}}) OR has({{features:Array(String)}}, feature))
        AND (empty({{users:Array(String)}}) OR has({{users:Array(String)}}, ifNull(user_id, '')))
        AND arrayAll((name, value) -> labels[name] = value, {{names:Array(String)}}, {{values:Array(String)}})
    GROUP BY key, slot
)
GROUP BY key
ORDER BY cost DESC NULLS LAST, key
LIMIT {{limit:UInt32}}
"""
_HOUR_S = 3_600
_DAY_S = 24 * _HOUR_S
_SLOTS = 48
_NO_END = datetime(2200, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Filters:
    """Only these; nothing named is all. `labels`: name and value, all of which must fit."""

    tenants: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class CostLine:
    """`key` is None where the dimension is not known. Money is None where nothing of it is known, never 0 for that;
    `cost_unknown` is how many rows `cost_usd` leaves out. `course`: USD by hour or day, those of nothing included.
    """

    key: str | None
    requests: int
    attempts: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None
    saved_usd: Decimal | None
    cost_unknown: int
    course: tuple[Decimal, ...] = field(default=(), compare=False)


def costs(
    connection: Connection,
    database: str,
    by: str,
    since: datetime,
    *,
    until: datetime | None = None,
    filters: Filters | None = None,
    limit: int = 1_000,
) -> tuple[CostLine, ...]:
    """Requests produced at or after `since`, and before `until` (both must know their zone), dearest first; days are
    UTC, newest amounts and adjustments included. `by` is a Dimension, or `label:` and its name. Raises KeyError for
    any other, and the driver's ClickHouseError.
    """
    only = filters or Filters()
    label = by.removeprefix(LABEL) if by.startswith(LABEL) else None
    key = "labels[{label:String}]" if label is not None else _KEYS[by]
    end = until or _NO_END
    slot_s = slot_seconds(since, until or datetime.now(UTC))
    parameters: dict[str, Any] = {
        "database": database,
        "since_ms": _ms(since),
        "until_ms": _ms(end),
        "slot_s": slot_s,
        "tenants": list(only.tenants),
        "models": list(only.models),
        "features": list(only.features),
        "users": list(only.users),
        "names": [name for name, _ in only.labels],
        "values": [value for _, value in only.labels],
        "limit": limit,
    }
    if label is not None:
        parameters["label"] = label
    rows = connection.query(_COSTS.format(key=key, amounts=AMOUNTS), parameters=parameters).result_rows
    slots = sorted({int(slot) for row in rows for slot in row[8]})
    every = range(slots[0], slots[-1] + 1, slot_s) if slots else range(0)
    return tuple(CostLine(*row[:8], course=_course(every, row[8], row[9])) for row in rows)


def slot_seconds(since: datetime, until: datetime) -> int:
    """Hours for up to two days, days for longer."""
    return _HOUR_S if until - since <= timedelta(hours=_SLOTS) else _DAY_S


def _course(every: range, slots: Sequence[int], amounts: Sequence[Decimal]) -> tuple[Decimal, ...]:
    spent = dict(zip(map(int, slots), amounts, strict=True))
    return tuple(spent.get(slot, Decimal(0)) for slot in every)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1_000)

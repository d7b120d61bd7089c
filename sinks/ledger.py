"""Calls as they are booked, with what was added to them since; and more that is to be added.

The one place that knows how `call_rows` and `adjustments` belong together.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from msgspec.structs import fields

from schemas.adjustment import Adjustment, BookedCall
from schemas.base import dump_json
from schemas.usage import Usage
from sinks.connection import Connection

_TOKENS = tuple(field.name for field in fields(Usage))
_CALLS = """
SELECT
    tenant_id, request_id, attempt_id, provider_request_id,
    toUnixTimestamp64Milli(produced_at) AS produced_at_ms,
    toUnixTimestamp64Milli(assumeNotNull(started_at)) AS started_at_ms,
    provider_ms, user_id, feature, labels, model_requested, model_used, assumeNotNull(provider) AS provider,
    deployment, service_tier, model_sent, price_as, phase != 'priced' AS is_open, usage_source, cost_status,
    cost_total_usd, price_version, {tokens}
FROM {{database:Identifier}}.call_rows FINAL
WHERE attempt_no > 0 AND provider IS NOT NULL AND started_at IS NOT NULL
    AND started_at >= fromUnixTimestamp64Milli({{start_ms:Int64}}, 'UTC')
    AND started_at < fromUnixTimestamp64Milli({{end_ms:Int64}}, 'UTC')
    AND (empty({{tenants:Array(String)}}) OR has({{tenants:Array(String)}}, tenant_id))
    AND (empty({{providers:Array(String)}}) OR has({{providers:Array(String)}}, provider))
    AND (empty({{deployments:Array(String)}}) OR has({{deployments:Array(String)}}, deployment))
    AND (empty({{models:Array(String)}}) OR has({{models:Array(String)}}, coalesce(model_used, model_requested)))
""".format(tokens=", ".join(_TOKENS))
_FIRST = """
SELECT toUnixTimestamp64Milli(min(assumeNotNull(started_at))), count()
FROM {database:Identifier}.call_rows
WHERE started_at IS NOT NULL
    AND started_at >= fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC')
    AND started_at < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
"""
_ADJUSTMENTS = """
SELECT
    adjustment_id, kind, tenant_id, toUnixTimestamp64Milli(produced_at), request_id, attempt_id, provider_request_id,
    user_id, feature, model, provider, deployment, labels, delta_usd, before_usd, after_usd, price_version,
    toUnixTimestamp64Milli(charged_at), reason, run_id
FROM {database:Identifier}.adjustments FINAL
WHERE produced_at >= fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC')
    AND produced_at <= fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
"""
_KEPT = """
SELECT toUnixTimestamp64Milli(toDateTime64(toDate32(now('UTC')) - days + 1, 3, 'UTC'))
FROM {database:Identifier}.rows_kept
"""
_INSERT_SETTINGS = {"async_insert": 0, "wait_end_of_query": 1, "max_partitions_per_insert_block": 0}


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which calls: started from `start_ms` until before `end_ms`; nothing named is all."""

    start_ms: int
    end_ms: int
    tenants: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    deployments: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


class Ledger:
    """Its methods raise the driver's ClickHouseError."""

    def __init__(self, connection: Connection, database: str) -> None:
        self._connection = connection
        self._database = database

    def calls(self, chosen: Chosen) -> list[BookedCall]:
        """Calls that were sent to a provider, each with its adjustments."""
        parameters = {
            "database": self._database,
            "start_ms": chosen.start_ms,
            "end_ms": chosen.end_ms,
            "tenants": list(chosen.tenants),
            "providers": list(chosen.providers),
            "deployments": list(chosen.deployments),
            "models": list(chosen.models),
        }
        rows = self._connection.query(_CALLS, parameters=parameters).result_rows
        if not rows:
            return []
        produced = [int(row[4]) for row in rows]
        added: dict[tuple[str, int, str, str], list[Adjustment]] = {}
        for each in self.adjustments(min(produced), max(produced)):
            if each.is_stray:  # with the attempt id of a call, and of its millisecond, it is still none of the call's
                continue
            key = each.tenant_id, each.produced_at_ms, each.request_id, each.attempt_id
            added.setdefault(key, []).append(each)
        return [_call(row, added) for row in rows]

    def whole_since_ms(self) -> int:
        """The first day of which no row can have been deleted for its age, UTC."""
        ((since_ms,),) = self._connection.query(_KEPT, parameters={"database": self._database}).result_rows
        return int(since_ms)

    def parts(self, chosen: Chosen, span_ms: int) -> Iterator[list[BookedCall]]:
        """The same, no more than `span_ms` of them in memory; times of which there are no calls are passed over."""
        at_ms = chosen.start_ms
        while (first_ms := self._first(at_ms, chosen.end_ms)) is not None:
            at_ms = min(first_ms + span_ms, chosen.end_ms)
            yield self.calls(replace(chosen, start_ms=first_ms, end_ms=at_ms))

    def _first(self, start_ms: int, end_ms: int) -> int | None:
        parameters = {"database": self._database, "start_ms": start_ms, "end_ms": end_ms}
        ((first_ms, count),) = self._connection.query(_FIRST, parameters=parameters).result_rows
        return int(first_ms) if count else None

    def adjustments(self, first_ms: int, last_ms: int) -> list[Adjustment]:
        """To calls that were produced in this time, both ends included."""
        found = self._connection.query(
            _ADJUSTMENTS, parameters={"database": self._database, "start_ms": first_ms, "end_ms": last_ms}
        )
        return [Adjustment(*row) for row in found.result_rows]

    def add(self, adjustments: Sequence[Adjustment]) -> None:
        """Stored when this returns. One of the same id and call takes the place of an earlier one."""
        if not adjustments:
            return
        names = Adjustment.__slots__
        columns = [name.removesuffix("_ms") for name in names]
        self._connection.raw_insert(
            f"{self._database}.adjustments",
            column_names=columns,
            insert_block=b"\n".join(
                dump_json(dict(zip(columns, (_json(name, getattr(each, name)) for name in names), strict=True)))
                for each in adjustments
            ),
            fmt="JSONEachRow",
            settings=_INSERT_SETTINGS,
        )


def _call(row: Sequence[Any], added: Mapping[tuple[str, int, str, str], Iterable[Adjustment]]) -> BookedCall:
    fixed, counts = row[: -len(_TOKENS)], row[-len(_TOKENS) :]
    tenant_id, request_id, attempt_id, provider_request_id, produced_at_ms, *rest = fixed
    *rest, sent, price_as, is_open, usage_source, cost_status, booked_usd, price_version = rest
    started_at_ms, provider_ms, user_id, feature, labels, requested, used, provider, deployment, tier = rest
    return BookedCall(
        tenant_id=tenant_id,
        request_id=request_id,
        attempt_id=attempt_id,
        provider_request_id=provider_request_id,
        produced_at_ms=produced_at_ms,
        started_at_ms=started_at_ms,
        provider_ms=provider_ms,
        user_id=user_id,
        feature=feature,
        labels=labels,
        model_requested=requested,
        model_used=used,
        provider=provider,
        deployment=deployment,
        service_tier=tier,
        model_sent=sent,
        price_as=price_as,
        is_open=bool(is_open),
        usage=Usage(**dict(zip(_TOKENS, map(int, counts), strict=True))),
        usage_source=usage_source,
        cost_status=cost_status,
        booked_usd=booked_usd,
        price_version=price_version,
        adjustments=tuple(added.get((tenant_id, produced_at_ms, request_id, attempt_id), ())),
    )


def _json(name: str, value: object) -> Any:
    """Money as text, so that no float comes near it."""
    if name.endswith("_ms") and isinstance(value, int):
        return datetime.fromtimestamp(value / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    return format(value, "f") if isinstance(value, Decimal) else value

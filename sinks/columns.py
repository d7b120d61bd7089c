"""A call row as ClickHouse columns: one declaration per column. A None is a NULL, never an empty string or a zero."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from schemas.base import JsonObject, dump_json
from schemas.call import PHASE_VERSION, CallRow

ID = "String"
DIMENSION = "LowCardinality(String)"
OPTIONAL_TEXT = "Nullable(String)"
OPTIONAL_DIMENSION = "LowCardinality(Nullable(String))"
TOKENS = "UInt64"
USD = "Nullable(Decimal(18, 9))"
TIME = "DateTime64(3, 'UTC')"
OPTIONAL_TIME = f"Nullable({TIME})"
# Signed: a time that runs backwards between two machines is a fact to be seen, not a reason to refuse the row.
OPTIONAL_MS = "Nullable(Int64)"


@dataclass(frozen=True, slots=True)
class Column:
    """`source` is the path of the field in CallRow; `convert` is for the few values that are not stored as they are.

    Times are milliseconds since 1970 on both sides: that is what DateTime64(3) holds.
    """

    name: str
    type: str
    source: str
    convert: Callable[[Any], Any] | None = None

    def stored(self, values: Sequence[Any]) -> Sequence[Any]:
        return values if self.convert is None else list(map(self.convert, values))


def _same(name: str, type_: str) -> Column:
    return Column(name, type_, name)


def _within(group: str, prefix: str, type_: str, *fields: str) -> tuple[Column, ...]:
    return tuple(Column(f"{prefix}{field}", type_, f"{group}.{field}") for field in fields)


def _time(field: str, type_: str = OPTIONAL_TIME) -> Column:
    return Column(field.removesuffix("_ms"), type_, field)


def _json_text(value: JsonObject | None) -> str | None:
    if value is None:
        return None
    try:
        return dump_json(value, sort_keys=True).decode()
    except TypeError:  # a provider may write any number; orjson takes none beyond 64 bits
        return json.dumps(value, sort_keys=True, separators=(",", ":"))


COLUMNS: tuple[Column, ...] = (
    _same("schema_version", "UInt8"),
    _same("phase", DIMENSION),
    Column("phase_version", "UInt8", "phase", PHASE_VERSION.__getitem__),
    _same("request_id", ID),
    _same("root_request_id", ID),
    _same("attempt_id", ID),
    _same("attempt_no", "UInt32"),
    _same("target_index", "Int32"),
    _same("session_id", OPTIONAL_TEXT),
    _same("trace_parent", OPTIONAL_TEXT),
    _same("origin_topic", DIMENSION),
    _same("origin_partition", "Int32"),
    _same("origin_offset", "Int64"),
    _same("provider_request_id", OPTIONAL_TEXT),
    _same("tenant_id", DIMENSION),
    _same("user_id", OPTIONAL_TEXT),
    _same("feature", DIMENSION),
    _same("env", DIMENSION),
    _same("prompt_version", DIMENSION),
    _same("labels", "Map(LowCardinality(String), String)"),
    _same("operation", DIMENSION),
    _same("task", OPTIONAL_DIMENSION),
    _same("model_requested", DIMENSION),
    _same("model_used", OPTIONAL_DIMENSION),
    _same("model_sent", OPTIONAL_DIMENSION),
    _same("provider", OPTIONAL_DIMENSION),
    _same("deployment", OPTIONAL_DIMENSION),
    _same("price_as", OPTIONAL_DIMENSION),
    _same("region", OPTIONAL_DIMENSION),
    _same("route", OPTIONAL_DIMENSION),
    _same("route_reason", OPTIONAL_DIMENSION),
    _same("priority", DIMENSION),
    _same("stream", "Bool"),
    _same("service_tier", OPTIONAL_DIMENSION),
    _same("is_shadow", "Bool"),
    _same("is_replay", "Bool"),
    _same("config_version", "Int64"),
    *_within("usage", "", TOKENS, "uncached_input_tokens", "cache_read_tokens", "cache_write_5m_tokens"),
    *_within("usage", "", TOKENS, "cache_write_1h_tokens", "image_input_tokens", "audio_input_tokens"),
    *_within("usage", "", TOKENS, "text_output_tokens", "reasoning_tokens", "audio_output_tokens"),
    Column("usage_raw", OPTIONAL_TEXT, "usage_raw", _json_text),
    _same("usage_source", DIMENSION),
    *_within("cost", "cost_", DIMENSION, "status"),
    *_within("cost", "cost_", USD, "input_usd", "cache_read_usd", "cache_write_usd", "output_usd"),
    *_within("cost", "cost_", USD, "total_usd", "list_usd", "charged_usd"),
    *_within("cost", "cost_", USD, "estimated_usd"),
    *_within("cost", "", OPTIONAL_DIMENSION, "price_version"),
    _same("saved_usd", USD),
    _time("produced_at_ms", TIME),
    _time("admitted_at_ms"),
    _time("dispatched_at_ms"),
    _time("started_at_ms"),
    _time("first_token_at_ms"),
    _time("completed_at_ms"),
    _time("published_at_ms"),
    _same("queue_ms", OPTIONAL_MS),
    _same("provider_ms", OPTIONAL_MS),
    _same("total_ms", OPTIONAL_MS),
    _same("stage_ms", "Map(LowCardinality(String), Int64)"),
    _same("round", "UInt8"),
    _same("steps", "Map(LowCardinality(String), LowCardinality(String))"),
    _same("step_us", "Map(LowCardinality(String), UInt32)"),
    _same("request_status", OPTIONAL_DIMENSION),
    _same("is_final", "Bool"),
    _same("error_class", OPTIONAL_DIMENSION),
    _same("http_status", "Nullable(Int32)"),
    _same("retryable", "Bool"),
    _same("hurried", "Bool"),
    _same("finish_reason", OPTIONAL_DIMENSION),
    _same("complete", "Bool"),
    _same("cache", DIMENSION),
    _same("similarity", "Nullable(Float64)"),
)

_values_of = attrgetter(*(column.source for column in COLUMNS))


def by_column(rows: Sequence[CallRow]) -> Iterator[tuple[Any, ...]]:
    """The fields of at least one row, one tuple for each of COLUMNS, before conversion.

    Row by row and then turned: what a row holds lies together in memory, so this is three times as fast as asking
    every row for one column after the other.
    """
    return zip(*map(_values_of, rows), strict=True)

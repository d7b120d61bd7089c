"""A provider's usage export, as JSON lines or CSV: what it charged for, one record a call."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import cast
from urllib.parse import unquote

from schemas.usage import check_usd

_NANODOLLAR = Decimal("1e-9")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_SECONDS = re.compile(r"[0-9]{9,12}(\.[0-9]{1,9})?")
"""From 1973 on, and no milliseconds; fewer digits are a date."""


class UnreadableExport(ValueError):
    """The message names the line, the field and what belongs there."""


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """`client_request_id` is the attempt id that we sent along. `cost_usd` is kept to the nano-dollar, as all money.

    `number` tells records apart that say the same.
    """

    at_ms: int
    provider: str
    model: str
    request_id: str | None
    client_request_id: str | None
    cost_usd: Decimal
    number: int = 0


def read_export(content: bytes, name: str, provider: str | None = None) -> list[UsageRecord]:
    """`provider` is for records that do not name theirs. A record that is there twice, with the same request id and
    all else, is read once: exports overlap. Fields that are not asked for are passed over. Raises UnreadableExport.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableExport(f"{name} is not UTF-8 text") from error
    rows = _json_lines(text, name) if text.lstrip().startswith("{") else _csv(text, name)
    found: list[UsageRecord] = []
    times: dict[UsageRecord, int] = {}
    for where, row in rows:
        record = _record(row, where, provider)
        seen = times.get(record, 0)
        times[record] = seen + 1
        if seen and record.request_id is not None:
            continue
        found.append(_numbered(record, seen) if seen else record)
    return found


def _json_lines(text: str, name: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    for number, line in enumerate(text.split("\n"), 1):  # JSON may hold other ends of lines within a text
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        try:
            row: object = json.loads(line, parse_float=Decimal)
        except (ValueError, RecursionError) as error:
            raise UnreadableExport(f"{where}: this is not JSON; write one object on each line") from error
        if not isinstance(row, dict):
            raise UnreadableExport(f"{where}: this is no JSON object; write one object on each line")
        yield where, cast("dict[str, object]", row)


def _csv(text: str, name: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    try:
        if text.strip() and not {"time", "cost_usd"} <= set(rows.fieldnames or ()):
            raise UnreadableExport(f"{name} is neither JSON lines nor CSV with the columns time and cost_usd")
        for row in rows:
            yield f"{name}, line {rows.line_num}", cast("dict[str, object]", row)
    except csv.Error as error:
        raise UnreadableExport(f"{name}, line {rows.line_num}: {error}") from error


def _record(row: Mapping[str, object], where: str, provider: str | None) -> UsageRecord:
    named = _text(row, "provider") or provider
    if named is None:
        raise UnreadableExport(f"{where}: provider is missing; add it to the record, or say --provider NAME")
    client_id = _text(row, "client_request_id")
    record = UsageRecord(
        at_ms=_time_ms(row, where),
        provider=named,
        model=_text(row, "model") or "",
        request_id=_text(row, "request_id"),
        client_request_id=None if client_id is None else unquote(client_id),
        cost_usd=_money(row, where),
    )
    try:
        "".join((record.model, record.request_id or "", record.client_request_id or "", named)).encode()
    except UnicodeEncodeError as error:
        raise UnreadableExport(f"{where}: a name holds half of a character; write it as UTF-8") from error
    return record


def _time_ms(row: Mapping[str, object], where: str) -> int:
    text = _text(row, "time")
    try:
        if text is not None and _SECONDS.fullmatch(text):
            return int(Decimal(text) * 1_000)
        at = datetime.fromisoformat(text or "")
        # cut, as seconds are: rounded up, the last moment of a day would be in the next one
        return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError) as error:
        raise UnreadableExport(
            f"{where}: time is {text!r}; give it as 2026-11-28T09:30:00Z, or in seconds since 1970"
        ) from error


def _money(row: Mapping[str, object], where: str) -> Decimal:
    value = row.get("cost_usd")
    try:
        usd = Decimal(str(value)).quantize(_NANODOLLAR, ROUND_HALF_EVEN)
        check_usd(usd)
    except (ValueError, ArithmeticError) as error:
        raise UnreadableExport(f"{where}: cost_usd is {str(value)!r}; give USD such as 0.000123") from error
    return usd


def _text(row: Mapping[str, object], field: str) -> str | None:
    value = row.get(field)
    return str(value).strip() or None if value is not None else None


def _numbered(record: UsageRecord, number: int) -> UsageRecord:
    return UsageRecord(
        at_ms=record.at_ms,
        provider=record.provider,
        model=record.model,
        request_id=record.request_id,
        client_request_id=record.client_request_id,
        cost_usd=record.cost_usd,
        number=number,
    )

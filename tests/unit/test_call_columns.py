"""The columns, the DDL and CallRow say the same, and a row keeps its meaning on the way into them."""

import re
from collections.abc import Iterator
from decimal import Decimal

import pytest
from msgspec import Struct
from msgspec.structs import fields, replace

from schemas.call import PHASE_VERSION, CallRow
from schemas.usage import Cost, Usage
from sinks.columns import COLUMNS, by_column
from sinks.migrate import migrations
from sinks.native import NAMES, Unwritable, native_block
from tests.fakes.call_rows import call_row, unwritable_row

_DDL_COLUMN = re.compile(r"^    (?P<name>\w+) (?P<type>.+?)(?: CODEC\(.+\))?,?$", re.MULTILINE)


_ADDED_COLUMN = re.compile(
    r"^ALTER TABLE \{database\}\.call_rows ADD COLUMN IF NOT EXISTS\n"
    r"    (?P<name>\w+) (?P<type>.+?)(?: CODEC\(.+\))? AFTER (?P<after>\w+);$",
    re.MULTILINE,
)


def ddl_columns() -> list[tuple[str, str]]:
    """The columns of `call_rows` as its DDL declares them, and as later files add to them."""
    text = next(migration.text for migration in migrations() if migration.name == "002_call_rows.sql")
    body = text[text.index("\n(\n") : text.index("\n)\n")]
    columns = [(match["name"], match["type"]) for match in _DDL_COLUMN.finditer(body)]
    for added in (match for migration in migrations() for match in _ADDED_COLUMN.finditer(migration.text)):
        after = next(number for number, (name, _) in enumerate(columns) if name == added["after"])
        columns.insert(after + 1, (added["name"], added["type"]))
    return columns


def leaves(struct: type[Struct], path: str = "") -> Iterator[str]:
    for field in fields(struct):
        if isinstance(field.type, type) and issubclass(field.type, Struct):
            yield from leaves(field.type, f"{path}{field.name}.")
        else:
            yield f"{path}{field.name}"


def stored(row: CallRow) -> dict[str, object]:
    return {column.name: column.stored(values)[0] for column, values in zip(COLUMNS, by_column([row]), strict=True)}


def test_the_table_has_exactly_the_columns_that_are_written_in_the_same_order_and_types() -> None:
    assert ddl_columns() == [(column.name, column.type) for column in COLUMNS]


def test_every_field_of_a_call_row_is_stored() -> None:
    assert set(leaves(CallRow)) == {column.source for column in COLUMNS}


def test_no_column_is_written_twice() -> None:
    assert len(set(NAMES)) == len(NAMES)


def test_the_phase_version_orders_the_phases_as_the_contract_does() -> None:
    assert {phase: stored(call_row(1, phase))["phase_version"] for phase in PHASE_VERSION} == PHASE_VERSION


def test_what_is_not_known_is_null_in_every_column_that_can_be_null() -> None:
    row = CallRow(
        phase="started",
        request_id="r",
        root_request_id="r",
        attempt_id="a",
        attempt_no=0,
        origin_topic="t",
        origin_partition=0,
        origin_offset=0,
        tenant_id="",
        model_requested="m",
        priority="low",
        config_version=0,
        cost=Cost(status="unpriced"),
        produced_at_ms=0,
    )
    nulls = {name for name, value in stored(row).items() if value is None}
    assert nulls == {column.name for column in COLUMNS if "Nullable" in column.type}


def test_the_providers_usage_is_stored_as_json_text_with_sorted_keys() -> None:
    assert (
        stored(call_row(usage_raw={"b": 1, "a": {"d": None, "c": "ü"}}))["usage_raw"]
        == '{"a":{"c":"ü","d":null},"b":1}'
    )


def test_money_is_handed_on_as_decimal_to_the_last_of_nine_places() -> None:
    row = call_row(cost=Cost(status="priced", total_usd=Decimal("123456789.123456789")))
    assert stored(row)["cost_total_usd"] == Decimal("123456789.123456789")


def test_equal_rows_give_equal_bytes_and_a_change_in_any_of_them_gives_others() -> None:
    rows = [call_row(number) for number in range(50)]
    again = [CallRow.decode(row.encode()) for row in rows]
    changed = [*again[:-1], replace(again[-1], retryable=True)]
    assert native_block(rows) == native_block(again)
    assert native_block(rows) != native_block(changed)
    assert native_block(rows) != native_block(rows[::-1])


def test_a_value_that_fits_no_column_is_found_before_anything_is_sent_and_its_column_is_named() -> None:
    with pytest.raises(Unwritable, match="uncached_input_tokens holds a value that does not fit UInt64"):
        native_block([call_row(1), unwritable_row(2), call_row(3)])


def test_a_number_in_the_providers_usage_beyond_64_bits_is_stored_as_the_provider_wrote_it() -> None:
    assert b'{"prompt_tokens":1180591620717411303424}' in native_block([call_row(usage_raw={"prompt_tokens": 2**70})])


@pytest.mark.parametrize("queue_ms", [-5, 0, 2**40])
def test_a_duration_may_be_negative_or_long(queue_ms: int) -> None:
    assert native_block([call_row(queue_ms=queue_ms, usage=Usage())])

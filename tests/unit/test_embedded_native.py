"""Blocks of the Native format, brought to the revision newer clients read."""

import pytest

from sinks.embedded.errors import ClickHouseError
from sinks.embedded.native import upgrade_native
from sinks.embedded.native_types import (
    ArrayOf,
    Fixed,
    LowCardinalityOf,
    NullableOf,
    Shape,
    Strings,
    TupleOf,
    UnknownTypeError,
    read_shape,
)

HEADER = b"\x01\x00\x02\xff\xff\xff\xff\x00"


@pytest.mark.parametrize(
    ("type_name", "shape"),
    [
        ("UInt8", Fixed(1)),
        ("DateTime64(3, 'UTC')", Fixed(8)),
        ("Decimal(18, 9)", Fixed(8)),
        ("Decimal(76, 2)", Fixed(32)),
        ("FixedString(5)", Fixed(5)),
        ("Enum8('a(' = 1, 'b\\', c' = 2)", Fixed(1)),
        ("IntervalDay", Fixed(8)),
        ("String", Strings()),
        ("Nullable(String)", NullableOf(Strings())),
        ("Array(Array(UInt16))", ArrayOf(ArrayOf(Fixed(2)))),
        ("Map(String, Array(UInt8))", ArrayOf(TupleOf((Strings(), ArrayOf(Fixed(1)))))),
        ("Tuple(a String, `b c` Decimal(9, 2))", TupleOf((Strings(), Fixed(4)))),
        ("Tuple(String, Enum16('x y' = 1))", TupleOf((Strings(), Fixed(2)))),
        ("Nested(a UInt8, b String)", ArrayOf(TupleOf((Fixed(1), Strings())))),
        ("LowCardinality(Nullable(String))", LowCardinalityOf(Strings())),
        ("SimpleAggregateFunction(sum, UInt64)", Fixed(8)),
        ("Ring", ArrayOf(TupleOf((Fixed(8), Fixed(8))))),
    ],
)
def test_a_type_is_read_from_its_name(type_name: str, shape: Shape) -> None:
    assert read_shape(type_name) == shape


@pytest.mark.parametrize("type_name", ["JSON", "Dynamic", "AggregateFunction(uniq, String)", "Array(JSON)", "Tuple()"])
def test_a_type_whose_values_cannot_be_told_apart_is_named(type_name: str) -> None:
    with pytest.raises(UnknownTypeError):
        read_shape(type_name)


def test_each_block_gets_a_header_and_each_column_a_byte_after_its_type() -> None:
    block = b"\x02\x01" + b"\x01a\x05UInt8\x07" + b"\x01b\x06String\x02xy"
    upgraded = HEADER + b"\x02\x01" + b"\x01a\x05UInt8\x00\x07" + b"\x01b\x06String\x00\x02xy"
    assert upgrade_native(block) == upgraded
    assert upgrade_native(block + block) == upgraded + upgraded


def test_a_dictionary_is_walked_over_with_its_version_keys_and_indexes() -> None:
    values = (
        b"".join(number.to_bytes(8, "little") for number in (1, 0x600, 2)) + b"\x00\x01x" + b"\x01" + bytes(7) + b"\x01"
    )
    column = b"\x01c\x16LowCardinality(String)"
    assert upgrade_native(b"\x01\x01" + column + values) == HEADER + b"\x01\x01" + column + b"\x00" + values


def test_long_strings_have_a_length_of_several_bytes() -> None:
    block = b"\x01\x01\x01s\x06String\xac\x02" + b"x" * 300
    assert upgrade_native(block + block).count(HEADER) == 2


def test_a_block_without_rows_has_columns_all_the_same() -> None:
    assert upgrade_native(b"\x01\x00\x01a\x04JSON") == HEADER + b"\x01\x00\x01a\x04JSON\x00"


def test_no_result_stays_no_result() -> None:
    assert upgrade_native(b"") == b""


def test_a_column_that_cannot_be_sent_is_refused_with_a_way_out() -> None:
    with pytest.raises(ClickHouseError, match="JSON cannot be sent to this client: cast"):
        upgrade_native(b"\x01\x01\x01a\x04JSON\x00")


def test_a_cut_block_is_refused() -> None:
    with pytest.raises(ClickHouseError, match="ends within a block"):
        upgrade_native(b"\x01\x03\x01s\x06String\x01x")

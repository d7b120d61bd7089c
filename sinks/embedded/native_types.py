"""How the values of a ClickHouse type lie in a Native column, read from the type's name as the engine writes it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_PART = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|[(),]|[^'`(),]+")
_DEEPEST = 64
_NUMBER = re.compile(r"[0-9]{1,9}")
_ELEMENT_NAME = re.compile(r"(?:`(?:[^`\\]|\\.)*`|\w+) +(?=[A-Za-z])")
_SIZES: Final = {
    name: size
    for size, names in {
        1: "UInt8 Int8 Bool Enum8 Nothing",
        2: "UInt16 Int16 Enum16 Date BFloat16",
        4: "UInt32 Int32 Float32 DateTime Date32 Time IPv4 Decimal32",
        8: "UInt64 Int64 Float64 DateTime64 Time64 Decimal64",
        16: "UInt128 Int128 UUID IPv6 Decimal128",
        32: "UInt256 Int256 Decimal256",
    }.items()
    for name in names.split()
}
_DIGITS_TO_SIZE = ((9, 4), (18, 8), (38, 16), (76, 32))
_ALIASES: Final = {
    "Point": "Tuple(Float64, Float64)",
    "Ring": "Array(Point)",
    "LineString": "Array(Point)",
    "Polygon": "Array(Ring)",
    "MultiLineString": "Array(LineString)",
    "MultiPolygon": "Array(Polygon)",
}


@dataclass(frozen=True, slots=True)
class Fixed:
    """Every value takes `size` bytes."""

    size: int


@dataclass(frozen=True, slots=True)
class Strings:
    """Every value is a length in LEB128 and as many bytes."""


@dataclass(frozen=True, slots=True)
class NullableOf:
    inner: "Shape"


@dataclass(frozen=True, slots=True)
class ArrayOf:
    inner: "Shape"


@dataclass(frozen=True, slots=True)
class TupleOf:
    elements: tuple["Shape", ...]


@dataclass(frozen=True, slots=True)
class LowCardinalityOf:
    """The keys of its dictionary are never marked as null, even where its values are."""

    keys: "Shape"


Shape = Fixed | Strings | NullableOf | ArrayOf | TupleOf | LowCardinalityOf


class UnknownTypeError(Exception):
    """A type whose values cannot be told apart here."""


@lru_cache(maxsize=1024)
def read_shape(type_name: str) -> Shape:
    """Raises UnknownTypeError."""
    if type_name.count("(") > _DEEPEST:
        raise UnknownTypeError(f"{type_name[:40]}…")
    name, arguments = _take_apart(type_name)
    if name in _SIZES:
        return Fixed(_SIZES[name])
    if name in _ALIASES:
        return read_shape(_ALIASES[name])
    if name.startswith("Interval"):
        return Fixed(8)
    if name not in _READERS or (name != "String" and arguments in ([], [""])):
        raise UnknownTypeError(type_name)
    return _READERS[name](arguments)


def _number(argument: str) -> int:
    if _NUMBER.fullmatch(argument) is None:
        raise UnknownTypeError(argument)
    return int(argument)


def _decimal(arguments: Sequence[str]) -> Shape:
    digits = _number(arguments[0])
    size = next((size for most, size in _DIGITS_TO_SIZE if digits <= most), None)
    if size is None:
        raise UnknownTypeError(f"Decimal({digits})")
    return Fixed(size)


def _tuple(arguments: Sequence[str]) -> Shape:
    return TupleOf(tuple(_element(argument) for argument in arguments))


def _low_cardinality(arguments: Sequence[str]) -> Shape:
    keys = read_shape(arguments[0])
    return LowCardinalityOf(keys.inner if isinstance(keys, NullableOf) else keys)


_READERS: Final[Mapping[str, Callable[[Sequence[str]], Shape]]] = {
    "String": lambda _: Strings(),
    "FixedString": lambda arguments: Fixed(_number(arguments[0])),
    "Decimal": _decimal,
    "Nullable": lambda arguments: NullableOf(read_shape(arguments[0])),
    "Array": lambda arguments: ArrayOf(read_shape(arguments[0])),
    "Map": lambda arguments: ArrayOf(_tuple(arguments)),
    "Tuple": _tuple,
    "Nested": lambda arguments: ArrayOf(_tuple(arguments)),
    "SimpleAggregateFunction": lambda arguments: read_shape(arguments[-1]),
    "LowCardinality": _low_cardinality,
}


def _element(argument: str) -> Shape:
    return read_shape(_ELEMENT_NAME.sub("", argument, count=1) if _ELEMENT_NAME.match(argument) else argument)


def _take_apart(type_name: str) -> tuple[str, list[str]]:
    """Name and arguments: `Map(String, Array(UInt8))` becomes `Map` and its two."""
    name, parenthesis, rest = type_name.partition("(")
    if not parenthesis:
        return name, []
    arguments, depth = [""], 0
    for part in _PART.findall(rest.removesuffix(")")):
        depth += (part == "(") - (part == ")")
        if part == "," and depth == 0:
            arguments.append("")
        else:
            arguments[-1] += part
    return name, [argument.strip() for argument in arguments]

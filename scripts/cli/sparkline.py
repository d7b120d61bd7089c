"""A row of numbers as one line of blocks, for looking at."""

from collections.abc import Sequence
from decimal import Decimal

_BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH = 24


def sparkline(values: Sequence[Decimal], width: int = WIDTH) -> str:
    """At most `width` characters, neighbours added up. Nothing is a space, the smallest something a low block."""
    per_char = max(-(-len(values) // width), 1)
    sums = [sum(values[at : at + per_char], Decimal(0)) for at in range(0, len(values), per_char)]
    most = max(sums, default=Decimal(0))
    return "".join(" " if each <= 0 else _BLOCKS[int(each / most * (len(_BLOCKS) - 1))] for each in sums)

"""A parser of bytes from outside, as both fuzzers see it: whatever the bytes are, it returns or raises what it says."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "golden" / "v1"
SEPARATOR = b"\xff\xff"
"""Between the parts of an input. No UTF-8 text holds it, so it cuts no seed in two."""


@dataclass(frozen=True, slots=True)
class Target:
    """`reads`: whose bytes they are, and what reads them. `raises` is all that the parser documents."""

    name: str
    reads: str
    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    raises: tuple[type[Exception], ...] = ()

    def __call__(self, data: bytes) -> None:
        try:
            self.run(data)
        except self.raises:
            return


def joined(*parts: bytes) -> bytes:
    return SEPARATOR.join(parts)


def parts_of(data: bytes, at_least: int = 1) -> list[bytes]:
    """The parts of an input, with empty ones where it has fewer."""
    parts = data.split(SEPARATOR)
    return parts + [b""] * (at_least - len(parts))


def pairs(parts: list[bytes]) -> list[tuple[bytes, bytes]]:
    """One after the other, two by two; an odd one at the end is left out."""
    return list(zip(parts[::2], parts[1::2], strict=False))


def golden(*kinds: str) -> tuple[bytes, ...]:
    """The golden events of these kinds, or of all."""
    files = sorted(GOLDEN.glob("*.json"))
    return tuple(file.read_bytes() for file in files if not kinds or file.name.partition(".")[0] in kinds)

"""What a network can be told to do with bytes. It holds for connections that are open and for new ones."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Passing:
    """Bytes arrive `delay_s` later, in order."""

    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Holding:
    """Nothing arrives until the mode changes, and then all of it does: a route that was gone for a while."""


@dataclass(frozen=True, slots=True)
class Losing:
    """Bytes vanish both ways while connections look open. Those that lost any are reset when the mode changes."""


@dataclass(frozen=True, slots=True)
class Refusing:
    """Nobody listens, and what was open is reset."""


Mode = Passing | Holding | Losing | Refusing
"""Changes while connections are open."""

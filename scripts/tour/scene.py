"""What a scene is: something that happens on the running system, told line by line while it does."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scripts.tour.guide import Guide


class DidNotHappenError(Exception):
    """What was to be shown was not seen; the message says what was seen instead."""


@dataclass(frozen=True, slots=True)
class Scene:
    """`play` yields a line for each thing it has seen, and raises DidNotHappenError."""

    name: str
    title: str
    play: Callable[[Guide], Iterator[str]]


def expect(happened: bool, otherwise: str) -> None:
    if not happened:
        raise DidNotHappenError(otherwise)

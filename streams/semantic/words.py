"""The words of `words.toml`, as they are looked up."""

import tomllib
from importlib.resources import files
from typing import Any

_READ: dict[str, Any] = tomllib.loads(files(__package__ or "").joinpath("words.toml").read_text(encoding="utf-8"))


def _words(name: str) -> frozenset[str]:
    return frozenset(_READ[name].split())


NEGATIONS = _words("negations")
DENIED = _words("denied")
NOT_DENIED = _words("not_denied")
DATES = _words("dates")
TONGUES = _words("tongues")
OPPOSITES = _words("opposites")
STARTERS = _words("starters")
STOP_WORDS = _words("stop_words")
NUMBERS: dict[str, str] = _READ["numbers"]
WHOSE: dict[str, str] = {word: whose for whose, words in _READ["whose"].items() for word in words.split()}
UNITS: dict[str, str] = {word: unit for unit, words in _READ["units"].items() for word in words.split()}

"""What similarity does not see: two sentences that differ by a `not`, a number or a name look all but the same.

Whatever is hard to judge is taken for a difference: the question is then asked, and nothing is answered wrongly.
"""

import re
from collections.abc import Iterator
from hashlib import blake2b
from unicodedata import decomposition, normalize
from unicodedata import name as letter_name

from msgspec import Struct

from schemas.base import dump_json
from streams.semantic.words import (
    DATES,
    DENIED,
    NEGATIONS,
    NOT_DENIED,
    NUMBERS,
    OPPOSITES,
    STARTERS,
    STOP_WORDS,
    TONGUES,
    UNITS,
    WHOSE,
)

MOST_CHARS = 500
"""In longer texts one sentence may differ, and change everything, without the whole being any less similar."""

_TOKEN = re.compile(
    r"""
    (?P<quoted> ```.*?``` | `[^`]*` | "[^"]*" | (?<!\w)'[^']+'(?!\w) )
  | (?P<number> (?<![\w.]) [-+]? \d+ (?: [.,:/]\d+ )* (?: st|nd|rd|th | \s?[ap]m )? (?![\w]) )
  | (?P<joint>  (?<=[^\W\d_])[-\u2010](?=[^\W\d_]{2}) | (?<=[^\W\d_]{2})[-\u2010](?=[^\W\d_]) )
  | (?P<odd>    [^\W_]*[\d_@/\\\#<>=*^&|~{}\[\]+]\S* | \w+(?:[.@]\w+)+ )
  | (?P<word>   (?: [nN]on- )? [^\W\d_]+ (?: '[^\W\d_]+ )? )
  | (?P<sign>   [%$€£¥] )
  | (?P<symbol> (?<=\d)["'] | (?<=[\d)])! )
  | (?P<end>    [.!?:]+ (?= \s | $ | [)\]"'] ) | \n+ )
  | (?P<other>  [^\w\s,;"'¿¡] )
    """,
    re.VERBOSE | re.DOTALL,
)
_LONGEST_WORD = 50
_DENYING = re.compile(r"(un|dis|non-?|il|ir|mis)\w{3,}|\w{3,}less")
_SUFFIX = re.compile(r"(ing|ed|es|s|e)$")


VERSION = 2
"""What one version made of a text is not compared with what another made of it."""


class Guard(Struct, frozen=True):
    """Digests, so that no word of the prompt is kept: of what must be said alike, of all words, of their order, and of
    whose things they are about; empty where that is not said.
    """

    must: str
    words: str
    order: str
    whose: str = ""


def guard_of(text: str) -> Guard | None:
    """None for what is not compared at all: nothing, much, or another script than the one the model reads."""
    plain = normalize("NFKC", _with_raised(text)).translate(_QUOTES).strip()
    if not plain or len(plain) > MOST_CHARS or not _is_latin(plain):
        return None
    marks: dict[str, list[str]] = {}
    said: list[str] = []
    for kind, value in _marks(plain, said):
        marks.setdefault(kind, []).append(value)
    if "negation" in marks:  # where it stands in the sentence says little; how often says all
        marks["negation"].sort()
    whose = list(dict.fromkeys(marks.pop("whose", ())))
    return Guard(_digest(marks), _digest(sorted(said)), _digest(said), _digest(whose) if whose else "")


def is_alike(one: Guard, other: Guard) -> bool:
    """False where a mark differs, where the same words come in another order (a dog that bites a man), and where both
    say whose, and not alike: mine is not yours, while `my password` is what `a password` is about.
    """
    is_ordered = one.words != other.words or one.order == other.order
    is_theirs = not one.whose or not other.whose or one.whose == other.whose
    return one.must == other.must and is_ordered and is_theirs


def _with_raised(text: str) -> str:
    """Before a two that is raised becomes a two like any other: 2² is not 22."""
    if text.isascii():
        return text
    return "".join(f"^{each}" if decomposition(each).startswith(("<super>", "<sub>")) else each for each in text)


_QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "’": "'", "‘": "'", "‚": "'"})


def _marks(plain: str, said: list[str]) -> Iterator[tuple[str, str]]:
    """Kind and value of each mark, in order; the words that carry meaning are added to `said`."""
    begins, before = True, ""
    for found in _TOKEN.finditer(plain):
        kind, value = found.lastgroup or "", found.group()
        match kind:
            case "end":
                begins = True
                continue
            case "joint":
                continue
            case "quoted" | "odd" | "symbol" | "other":
                yield _as_written(kind, value)
                said.append(value)
            case "number":
                yield "number", _number(value)
                said.append(value)
            case "sign":
                yield "unit", UNITS[value]
            case _:
                small = value.lower()
                yield from _of_word(value, begins=begins)
                if before in _WHO and small in _DO:  # whom Plato taught, and not who taught Plato
                    yield "asks", "whom"
                if before != "how" and _stem(small) in _OPPOSED:  # who asks how long does not mean: not short
                    yield "opposite", _stem(small)
                before = small
                if small not in STOP_WORDS:
                    said.append(_stem(small))
        begins = False


def _as_written(kind: str, value: str) -> tuple[str, str]:
    return (kind, value.rstrip(",.;:?)")) if kind in {"quoted", "odd"} else ("symbol", value)


_WHO = frozenset({"who", "whom", "whose"})
_DO = frozenset({"do", "does", "did", "don't", "doesn't", "didn't"})


def _of_word(word: str, *, begins: bool) -> Iterator[tuple[str, str]]:
    small = word.lower()
    bare = small.removesuffix("'s")
    if bare in WHOSE:
        yield "whose", WHOSE[bare]
    if not bare.isascii() or len(bare) > _LONGEST_WORD:  # the model takes accents off, and long words for one another
        yield "spelt", bare
    if bare in NEGATIONS or small.endswith("n't"):
        yield "negation", "not"
    elif bare in DENIED or (_DENYING.fullmatch(bare) and bare not in NOT_DENIED):
        yield "denial", _stem(bare)
    elif bare in NUMBERS:
        yield "number", NUMBERS[bare]
    elif bare in UNITS:
        yield "unit", UNITS[bare]
    elif bare in DATES:
        yield "date", bare
    elif bare in TONGUES or _is_name(word, begins=begins):
        yield "name", bare


def _is_name(word: str, *, begins: bool) -> bool:
    bare = word.removesuffix("'s")
    if not bare[0].isupper():
        return any(letter.isupper() for letter in bare)
    if bare == "I" or word.startswith("I'"):
        return False
    if len(bare) > 1 and bare.isupper():
        return True
    return not (begins and bare.lower().partition("'")[0] in STARTERS)


def _number(written: str) -> str:
    """`1,000` is 1000 and `5.0` is 5; a decimal comma is told from one between thousands by what follows it."""
    bare = re.sub(r",(?=\d{3}(\D|$))|\s", "", written.lower())
    return re.sub(r"\.0+$", "", bare) if re.fullmatch(r"-?\d+\.\d+", bare) else bare


def _stem(word: str) -> str:
    short = _SUFFIX.sub("", word.removesuffix("'s"))
    return short if len(short) > 1 else word


_OPPOSED = frozenset(map(_stem, OPPOSITES))


def _is_latin(text: str) -> bool:
    letters = [letter for letter in text if letter.isalpha()]
    foreign = sum(1 for letter in letters if not letter.isascii() and not letter_name(letter, "").startswith("LATIN"))
    return bool(letters) and foreign == 0


def _digest(value: object) -> str:
    return blake2b(dump_json(value, sort_keys=True), digest_size=8).hexdigest()

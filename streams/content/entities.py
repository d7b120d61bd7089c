"""Where personal data and secrets are in a text. What looks like a number of some kind must also pass its checksum.

Patterns are RE2's, and what each candidate costs is bounded: a prompt of four megabytes of nothing but candidates must
not hold a worker up.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any, NamedTuple, cast, get_args

from stdnum import iban, luhn, numdb
from stdnum.us import ssn

from schemas.content import Entity
from streams.content.hidden import Reading
from streams.content.matcher import Match, Matcher

MOST_SPANS = 10_000
_ABROAD, _AT_HOME, _NORTH_AMERICA = 8, range(9, 13), range(10, 12)
"""How many digits telephone numbers have, the first at least."""
_CARD = re.compile(r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3[068]\d{12}|35\d{14}|6\d{15,18}")
"""As issuers number theirs."""
_LEAST_DISTINCT = 3
_PAIR = 2
_LAST_GROUP = re.compile(rb"[^0-9]+[0-9]+\)?$")
_SHORTEST_IP6 = 6
_SHORTEST = 6
"""Of any kind: in JSON most strings and numbers are shorter."""
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_DIGITS = re.compile(rb"\d")
_BLOCK = r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_END = r"-----END [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
SECRETS: dict[str, str] = {
    "private key": rf"{_BLOCK}(?:[A-Za-z0-9+/=\s:,\\.]|-[A-Za-z ])*(?:{_END})?",
    "JSON web token": r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
    "OpenAI or Anthropic": r"sk-[A-Za-z0-9][A-Za-z0-9_-]{18,}",
    "AWS": r"A(?:KIA|SIA|BIA|CCA)[A-Z2-7]{16}",
    "GitHub": r"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}",
    "GitLab": r"glpat-[A-Za-z0-9_-]{20,}",
    "Google": r"AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,}",
    "Slack": r"xox[abeoprs]-[A-Za-z0-9-]{10,}|https://hooks\.slack\.com/services/[A-Za-z0-9/]{20,}",
    "Stripe": r"[rs]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9]{24,}",
    "Hugging Face": r"hf_[A-Za-z0-9]{30,}",
    "npm": r"npm_[A-Za-z0-9]{36}",
    "PyPI": r"pypi-[A-Za-z0-9_-]{50,}",
    "SendGrid": r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    "Azure storage": r"AccountKey=[A-Za-z0-9+/]{60,}={0,2}",
    "bearer": r"(?i:bearer) [A-Za-z0-9._~+/-]{20,}=*",
    "address with a password": r"[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{1,64}:[^\s/@]{1,128}@",
}
"""By whose it is: what it begins with, in the issuers' own words, leaves little room for chance."""


class Span(NamedTuple):
    """Bytes from `start` up to `end`."""

    start: int
    end: int
    entity: Entity


@dataclass(frozen=True, slots=True)
class _Kind:
    """`check` is given what was found and says how much of it, from its beginning, is one: 0 for none. After none the
    search goes on behind its first group of digits or letters, or where `is_whole` behind all of it. It is no piece of
    a longer word or number; where `is_open` there may be more of a word behind it.
    """

    candidates: Matcher
    check: Callable[[bytes], int] = len
    is_whole: bool = False
    is_open: bool = False


class TooManyError(ValueError):
    """The text holds more than anybody would ask about: rather an export of a database."""


def spans(data: bytes, entities: Sequence[Entity]) -> list[Span]:
    """From left to right; what overlaps is one, and of the kind that stands first in `Entity`. Raises TooManyError."""
    found = list(islice((span for entity in entities for span in _found(data, entity)), MOST_SPANS + 1))
    if len(found) > MOST_SPANS:
        raise TooManyError
    return together(found)


def spans_of(text: str, entities: Sequence[Entity]) -> list[Span]:
    """In the text's bytes, of what is hidden in it as well. Raises TooManyError."""
    if len(text) < _SHORTEST:
        return []
    reading = Reading(text)
    found = spans(reading.written, entities)
    if reading.read is None:
        return found
    written = [span._replace(start=reading.behind_escape(span.start)) for span in found]
    written = [span for span in written if span.start < span.end]
    read = spans(reading.read.written, entities)
    places = reading.placed([(start, end) for start, end, _ in read])
    placed = [Span(*place, span.entity) for place, span in zip(places, read, strict=True)]
    return together([*written, *placed])


def may_hold(text: str, entities: Sequence[Entity]) -> bool:
    """Whether it is worth a closer look. It costs less than to say where."""
    reading = Reading(text)
    looked_at = [reading.written] if reading.read is None else [reading.written, reading.read.written]
    return any(True for data in looked_at for entity in entities for _ in _found(data, entity))


def together(found: Sequence[Span]) -> list[Span]:
    one_by_one: list[Span] = []
    for span in sorted(found):
        if one_by_one and span.start < one_by_one[-1].end:
            before = one_by_one[-1]
            kind = min(before.entity, span.entity, key=_RANK.__getitem__)
            one_by_one[-1] = Span(before.start, max(before.end, span.end), kind)
        else:
            one_by_one.append(span)
    return one_by_one


_RANK: dict[Entity, int] = {entity: rank for rank, entity in enumerate(get_args(Entity))}


def _found(data: bytes, entity: Entity) -> Iterator[Span]:
    kind, at = _kinds()[entity], 0
    while (match := kind.candidates.next(data, at)) is not None:
        end = match.start if _is_word(data[match.start - 1 : match.start + 1]) else _end(data, match, kind)
        if end > match.start:
            yield Span(match.start, end, entity)
            at = end
        else:
            at = match.end if kind.is_whole else _behind_its_first_group(data, match)


def _end(data: bytes, match: Match, kind: _Kind) -> int:
    """Where it starts, when it is none. Its last group may belong to what stands behind it."""
    end = match.start + kind.check(data[match.start : match.end])
    while end > match.start and not kind.is_open and _is_word(data[end - 1 : end + 1]):
        last = _LAST_GROUP.search(data[match.start : end])
        end = match.start if last is None else match.start + kind.check(data[match.start : match.start + last.start()])
    return end


def _is_word(pair: bytes) -> bool:
    """Whether two bytes belong together. Letters of other scripts may stand beside what is found, without a space."""
    return len(pair) == _PAIR and pair.isalnum()


def _behind_its_first_group(data: bytes, match: Match) -> int:
    at = match.start + 1
    while at < match.end and data[at : at + 1].isalnum():
        at += 1
    return at


def _card(candidate: bytes) -> int:
    digits = b"".join(_DIGITS.findall(candidate)).decode()
    return len(candidate) if _CARD.fullmatch(digits) and luhn.is_valid(digits) else 0


def _iban(candidate: bytes) -> int:
    """As many letters and digits as its country's have."""
    length = _iban_length(candidate[:2].decode().upper())
    compact = candidate.translate(None, b" -")[:length].decode().upper()
    if length is None or len(compact) < length or not _has_check_digits(compact) or not iban.is_valid(compact):
        return 0
    taken = length
    while len(candidate[:taken].translate(None, b" -")) < length:
        taken += 1
    return taken


def _has_check_digits(compact: str) -> bool:
    """Of a hundred that are no IBAN one has them: the others need not be looked at by all rules of their country."""
    return int("".join([str(int(each, 36)) for each in compact[4:] + compact[:4]])) % 97 == 1


@cache
def _iban_length(country: str) -> int | None:
    """None for what is no country's code. There are few of two letters, so each is remembered."""
    (_, facts), *_ = cast("Any", numdb).get("iban").info(f"{country}00")
    parts = re.findall(r"(\d+)!?[nac]", facts.get("bban", ""))
    return 4 + sum(map(int, parts)) if parts else None


def _ssn(candidate: bytes) -> int:
    return len(candidate) if ssn.is_valid(candidate.decode()) else 0


def _ip(candidate: bytes) -> int:
    """Version 6 is told from words of code and from times by having both a digit and a certain length."""
    text = candidate.decode()
    if ":" not in text:
        return len(text)
    text = text.rstrip(".:")
    if len(text) < _SHORTEST_IP6 or not any(each.isdigit() for each in text):
        return 0
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return 0
    return len(text)


def _phone(candidate: bytes) -> int:
    """Of one with too many digits the last groups are another number; but behind a + nobody can tell where it ends."""
    digits = _DIGITS.findall(candidate)
    if candidate.startswith(b"+"):
        return len(candidate) if len(digits) >= _ABROAD else 0
    lengths = _AT_HOME if candidate.startswith((b"0", b"(0")) else _NORTH_AMERICA
    while len(digits) >= lengths.stop and (last := _LAST_GROUP.search(candidate)) is not None:
        candidate = candidate[: last.start()]
        digits = _DIGITS.findall(candidate)
    is_one = len(digits) in lengths and len(set(digits)) >= _LEAST_DISTINCT and digits[:3] != [b"0"] * 3
    return len(candidate) if is_one else 0


def _begun(pattern: str) -> str:
    """Where no word goes on: said here, since a text of nothing but beginnings inside words would be read to its end
    from each of them.
    """
    return pattern if pattern.startswith("-") else rf"(?:\b|_)(?:{pattern})"


@cache
def _kinds() -> dict[Entity, _Kind]:
    """Compiled when first asked for: most workers never are."""
    return {
        "secret": _Kind(Matcher(*map(_begun, SECRETS.values())), is_open=True),
        "iban": _Kind(Matcher(r"(?i:[A-Z]{2}\d{2}(?:[ \-]?[A-Z0-9]){11,30})"), _iban),
        "credit_card": _Kind(
            Matcher(r"\d{4}[ .\-]\d{4}[ .\-]\d{4}[ .\-]\d{1,7}", r"\d{4}[ -]\d{6}[ -]\d{4,5}", r"\d{13,19}"), _card
        ),
        "email": _Kind(Matcher(r"[A-Za-z0-9._%+'\-À-ɏ]+@(?:[A-Za-z0-9\-À-ɏ]+\.)+[A-Za-z]{2,24}"), is_open=True),
        "ssn": _Kind(Matcher(r"\d{3}-\d{2}-\d{4}"), _ssn),
        "ip_address": _Kind(
            Matcher(rf"(?:{_OCTET}\.){{3}}{_OCTET}", r"[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{1,39}"), _ip, is_whole=True
        ),
        "phone": _Kind(
            Matcher(
                r"\+\d{1,3}[ .\-/]?(?:\(\d{1,5}\) ?|\d{1,5}[ .\-/]?)(?:\d{1,8}[ .\-/]?){0,4}\d",
                r"(?:1[ .\-])?(?:\(\d{3}\) ?|\d{3}[ .\-])\d{3}[ .\-]\d{4}",
                r"(?:\(0\d{1,5}\)|0\d{1,5})(?: ?/ ?|[ \-])\d{2,8}(?:[ \-]\d{2,8}){0,3}",
            ),
            _phone,
        ),
    }

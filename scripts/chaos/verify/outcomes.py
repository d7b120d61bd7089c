"""How each request of the load ends, by its kind: in what it asked for, or in what was broken meanwhile."""

from collections.abc import Mapping, Sequence

from schemas.response import ErrorCode, Status
from scripts.chaos.load import bad
from scripts.chaos.load.sending import Kind
from scripts.chaos.verify.facts import Lettered, Requested, Responded, Seen
from scripts.chaos.verify.snapshot import Snapshot
from scripts.chaos.verify.tally import Tally
from scripts.chaos.verify.wording import where
from scripts.cli.audit_fold import REUSED, Buried, Place

Ending = tuple[Status, ErrorCode | None]

_ANSWERED: frozenset[Ending] = frozenset(
    {
        ("ok", None),
        ("rejected", "rate_limited"),
        ("rejected", "cache_miss"),  # some ask for what is kept, and nothing else
        ("failed", "provider_unavailable"),
        ("failed", "provider_timeout"),
    }
)
_LATE: Ending = ("expired", "deadline_exceeded")
_REFUSED: Mapping[Kind, ErrorCode] = {
    "missing_field": "invalid_request",
    "too_long_id": "invalid_request",
    "unknown_model": "unknown_model",
    "unknown_tenant": "unknown_tenant",
    "wrong_key": "unauthenticated",
    "no_key": "unauthenticated",
    "too_large": "request_too_large",
}
_BURIED: Mapping[tuple[str, str], Kind] = {
    ("validate", "empty_value"): "empty",
    ("validate", "no_request_id"): "not_json",
    ("limit", REUSED): "reused_id",
}
"""By stage and reason: what alone may be a dead letter, and of which kind it is then."""
_NEVER_ANSWERED: tuple[Kind, ...] = ("empty", "not_json")
_WITH_DEADLINE: tuple[Kind, ...] = ("tight_deadline", "wide_deadline")


def _of_good(kind: Kind) -> frozenset[Ending]:
    if kind == "late":
        return frozenset({_LATE})
    return _ANSWERED | {_LATE} if kind in _WITH_DEADLINE else _ANSWERED


def endings(kind: Kind) -> frozenset[Ending]:
    """What may become of a request of this kind. Nothing where nobody can be told."""
    if kind in _NEVER_ANSWERED:
        return frozenset()
    return frozenset({("rejected", _REFUSED[kind])}) if kind in bad.KINDS else _of_good(kind)


class Outcomes:
    """Remembers an answered or buried record of the load until its acknowledgement has been read."""

    def __init__(self) -> None:
        self.expected = Tally("outcomes are expected", "each request ends as its kind may, and none in internal_error")
        self.letters = Tally("dead letters are expected", "only what the load spoils on purpose becomes a dead letter")
        self._numbers: dict[Place, int] = {}
        self._kinds: dict[int, Kind] = {}
        self._open: list[Responded | Lettered] = []

    @property
    def tallies(self) -> Sequence[Tally]:
        return self.expected, self.letters

    def take(self, seen: Seen) -> None:
        match seen.fact:
            case Requested(load_number=int(number)):
                self._numbers[seen.place] = number
            case Responded() | Lettered():
                self._open.append(seen.fact)
            case _:
                pass

    def look(self, snapshot: Snapshot) -> None:
        for line in snapshot.acknowledged:
            self._kinds[line.load_number] = line.kind
        self._open = [fact for fact in self._open if not self._judge(fact, last=False)]

    def waits(self) -> Sequence[str]:
        return ()

    def end(self, _snapshot: Snapshot) -> None:
        for fact in self._open:
            self._judge(fact, last=True)
        self._open = []

    def _judge(self, fact: Responded | Lettered, *, last: bool) -> bool:
        """Whether there was anything to wait for. Of somebody else's requests (`kind` is None) less is known."""
        about = fact.replied.answers if isinstance(fact, Responded) else fact.buried.about
        number = None if about is None else self._numbers.get(about)
        kind = None if number is None else self._kinds.get(number)
        if kind is None and not last:
            return False
        match fact:
            case Responded():
                self.expected.hold(_strange(fact, kind))
            case Lettered(buried):
                self.letters.hold(_unspoilt(buried, kind))
        return True


def _strange(fact: Responded, kind: Kind | None) -> str | None:
    ended: Ending = (fact.status, fact.code)
    is_expected = fact.code != "internal_error" if kind is None else ended in endings(kind)
    replied = fact.replied
    return (
        None if is_expected else f"{replied.identity} at {where(replied.place)}, {kind}, is {fact.status} {fact.code}"
    )


def _unspoilt(buried: Buried, kind: Kind | None) -> str | None:
    spoilt = _BURIED.get((buried.stage, buried.reason))
    is_expected = spoilt is not None and kind in (None, spoilt)
    about = "something" if buried.about is None else where(buried.about)
    return None if is_expected else f"{buried.stage} buried {about}, {kind}: {buried.reason}"

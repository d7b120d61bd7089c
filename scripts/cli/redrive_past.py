"""What was redriven before, as `llm.audit` says, and how what is done again is named.

A name follows from the record that could not be handled. So the same given back twice, by whomever and from whichever
of its dead letters, is one request, and `limit` takes it once.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pydantic import ValidationError

from schemas.audit import Audit
from scripts.cli.dead_letter import DeadLetter
from streams.runtime.delivery import Delivery

SUBJECT = "dead_letter/"
"""Before a letter's place: what an audit record of a redrive is about."""


@dataclass(frozen=True, slots=True)
class Given:
    """When a record was last given back, by its dead letter at `place`, and how often. `request_id`: what it was done
    again as; None where it went back as it was. `model`: asked for instead.
    """

    place: str
    request_id: str | None
    model: str | None
    times: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Past:
    """`letters`: places. `given`: by where the record was. `made_good`: requests that were done again, by tenant and
    id, and where the record was that led to it.
    """

    letters: set[str] = field(default_factory=set[str])
    given: dict[str, Given] = field(default_factory=dict[str, Given])
    made_good: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])

    def add(self, audit: Audit) -> None:
        if audit.action != "redriven":
            return
        place, detail = audit.subject.removeprefix(SUBJECT), audit.detail
        self.letters.add(place)
        origin = detail.get("origin", place)
        before = self.given.get(origin)
        times = 1 if before is None else before.times + 1
        self.given[origin] = Given(place, detail.get("request_id"), detail.get("model"), times, audit.at_ms)
        # an older release says of which root only
        good = detail.get("made_good") or detail.get("root_request_id")
        if good is not None:
            self.made_good.setdefault((detail.get("tenant", ""), good), origin)

    def of(self, letter: DeadLetter, buried_ms: int) -> Given | None:
        """None also for what was given back before this letter was written: a topic that was made anew has other
        records at the places of the old ones.
        """
        given = self.given.get(letter.origin)
        return given if given is not None and (given.place == letter.place or given.at_ms >= buried_ms) else None


def past_of(records: Iterable[Delivery]) -> Past:
    past = Past()
    for record in records:
        try:
            past.add(Audit.decode(record.value or b""))
        except ValidationError:  # whoever can write to the topic can write anything
            continue
    return past


def name_of(
    root_request_id: str, letter: DeadLetter, topic: str, model: str | None, given: Given | None, *, anew: bool
) -> str:
    """`topic`: without the prefix. What was given back before keeps the name it had then, unless it is `anew`."""
    if given is not None and not anew and given.request_id is not None and given.model == model:
        return given.request_id
    first = f"{root_request_id}~redrive-{topic}.{letter.origin_partition}.{letter.origin_offset}"
    named = first if model is None else f"{first}~{model}"
    return f"{named}~{given.times + 1}" if given is not None and anew else named

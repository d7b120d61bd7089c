"""Per key, order is kept between stages: whatever passes for the first time comes after all that passed before it.

A redelivery repeats what has passed already, and so breaks nothing. Remembers the offsets that have passed, some 60
bytes each.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from scripts.chaos.verify.facts import Admitted, Requested, Seen, Validated
from scripts.chaos.verify.snapshot import Snapshot
from scripts.chaos.verify.tally import Tally
from scripts.chaos.verify.wording import where


@dataclass(slots=True)
class _Passed:
    newest: int = -1
    all: set[int] = field(default_factory=set[int])


class Order:
    def __init__(self) -> None:
        self.asked = Tally(
            "order of asking", "per key, llm.requests has the load's records in the order they were sent"
        )
        self.validated = Tally("order of validation", "per tenant and partition, llm.validated has llm.requests' order")
        self.admitted = Tally("order of admission", "per namespace, llm.admitted has llm.validated's order")
        self._passed: dict[Hashable, _Passed] = {}

    @property
    def tallies(self) -> Sequence[Tally]:
        return self.asked, self.validated, self.admitted

    def take(self, seen: Seen) -> None:
        cause = seen.cause
        match seen.fact:
            case Requested(_, key, int(number)):
                self._pass(self.asked, (seen.place.partition, key), number, seen)
            case Validated(tenant_id=tenant) if cause is not None:
                self._pass(self.validated, (cause.place.topic, cause.place.partition, tenant), cause.place.offset, seen)
            case Admitted(namespace=namespace) if cause is not None:
                self._pass(
                    self.admitted, (cause.place.topic, cause.place.partition, namespace), cause.place.offset, seen
                )
            case _:
                pass

    def _pass(self, tally: Tally, key: Hashable, number: int, seen: Seen) -> None:
        passed = self._passed.setdefault(key, _Passed())
        is_late = number < passed.newest and number not in passed.all
        tally.hold(f"{where(seen.place)} has {number} of {key} after {passed.newest}" if is_late else None)
        passed.all.add(number)
        passed.newest = max(passed.newest, number)

    def look(self, snapshot: Snapshot) -> None:
        pass

    def waits(self) -> Sequence[str]:
        return ()

    def end(self, snapshot: Snapshot) -> None:
        pass

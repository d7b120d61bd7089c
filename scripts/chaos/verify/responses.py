"""Each response is written once, and its cost is that of its attempts' rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from scripts.chaos.verify.facts import Called, Responded, Seen
from scripts.chaos.verify.snapshot import Snapshot
from scripts.chaos.verify.tally import Tally
from scripts.chaos.verify.wording import where
from scripts.cli.audit_fold import Place


@dataclass(slots=True)
class _Group:
    """What `postprocess` has written for one completion."""

    response: Responded | None = None
    costs: dict[str, Decimal | None] = field(default_factory=dict[str, Decimal | None])


class Responses:
    """Remembers the ids of all responses, and a completion's rows until its response is compared with them."""

    def __init__(self) -> None:
        self.distinct = Tally("distinct response ids", "no event id is on llm.responses twice")
        self.cost = Tally("response cost", "a response costs what its attempts' rows add up to, or says null")
        self._ids: set[str] = set()
        self._groups: dict[Place, _Group] = {}

    @property
    def tallies(self) -> Sequence[Tally]:
        return self.distinct, self.cost

    def take(self, seen: Seen) -> None:
        cause = seen.cause
        if seen.topic == "responses" and seen.event_id is not None:
            again = seen.event_id in self._ids
            self._ids.add(seen.event_id)
            self.distinct.hold(f"{seen.event_id} is there again at {where(seen.place)}" if again else None)
        if cause is None or cause.stage != "postprocess":
            return
        match seen.fact:
            case Responded():
                self._groups.setdefault(cause.place, _Group()).response = seen.fact
            case Called():
                self._groups.setdefault(cause.place, _Group()).costs[seen.fact.attempt_id] = seen.fact.cost_usd
            case _:
                return
        self._compare(cause.place)

    def _compare(self, place: Place) -> None:
        """As soon as all is there: a row for each attempt, or one for a request that had none."""
        group = self._groups[place]
        response = group.response
        if response is None or len(group.costs) < max(response.attempts, 1):
            return
        del self._groups[place]
        known = [cost for cost in group.costs.values() if cost is not None]
        expected = None if len(known) < len(group.costs) else sum(known, Decimal(0))
        self.cost.hold(
            None
            if response.cost_usd == expected
            else f"{response.replied.identity} at {where(response.replied.place)} says {response.cost_usd} USD, its "
            f"{len(group.costs)} rows add up to {expected}"
        )

    def look(self, snapshot: Snapshot) -> None:
        pass

    def waits(self) -> Sequence[str]:
        missing = sum(group.response is not None for group in self._groups.values())
        return [f"{missing} responses wait for their rows"] if missing else []

    def end(self, _snapshot: Snapshot) -> None:
        for group in self._groups.values():
            if group.response is not None:
                replied = group.response.replied
                self.cost.hold(
                    f"{replied.identity} at {where(replied.place)} has {group.response.attempts} attempts and "
                    f"{len(group.costs)} rows"
                )

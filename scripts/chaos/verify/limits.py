"""No tenant and no user gets more requests through than its rate and burst allow, by the records' own times.

Weighed anew in the order of `llm.validated`, with nothing charged but what was admitted: that is the meter `limit`
should have had. Only limits of requests; what tokens are held and given back is not on any topic. A tenant whose
limits change is not weighed any more, since who knew of it when is not on any topic either.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from scripts.chaos.verify.facts import Admitted, Configured, Seen, Validated
from scripts.chaos.verify.snapshot import Snapshot
from scripts.chaos.verify.tally import Tally
from scripts.chaos.verify.wording import where
from scripts.cli.audit_fold import Place
from streams.gcra import Fits, Rate, meter


@dataclass(frozen=True, slots=True)
class _Candidate:
    tenant_id: str
    user_id: str | None
    at_us: int


class Limits:
    """Remembers an event until `limit` has committed it."""

    def __init__(self) -> None:
        self.tally = Tally("limits hold", "admitted requests ≤ rate x time + burst, of each tenant and each user")
        self._configured: dict[str, Configured] = {}
        self._changed: set[str] = set()
        self._candidates: dict[tuple[str, int], dict[int, _Candidate]] = {}
        self._admitted: set[Place] = set()
        self._arrivals_us: dict[tuple[str, str | None], int] = {}

    @property
    def tallies(self) -> Sequence[Tally]:
        return (self.tally,)

    def take(self, seen: Seen) -> None:
        match seen.fact:
            case Configured() as configured:
                known = self._configured.setdefault(configured.tenant_id, configured)
                if known != configured:
                    self._changed.add(configured.tenant_id)
            case Validated(tenant_id=tenant_id, user_id=user_id):
                found = self._candidates.setdefault((seen.place.topic, seen.place.partition), {})
                found[seen.place.offset] = _Candidate(tenant_id, user_id, seen.at_ms * 1000)
            case Admitted() if seen.cause is not None:
                self._admitted.add(seen.cause.place)
            case _:
                pass

    def look(self, snapshot: Snapshot) -> None:
        for (topic, partition), candidates in self._candidates.items():
            self._weigh_below(snapshot.committed.get(("limit", topic, partition), 0), topic, partition, candidates)

    def _weigh_below(self, committed: int, topic: str, partition: int, candidates: dict[int, _Candidate]) -> None:
        for offset in [each for each in candidates if each < committed]:
            candidate = candidates.pop(offset)
            place = Place(topic, partition, offset)
            if place in self._admitted:
                self._admitted.remove(place)
                self._weigh(candidate, place)

    def _weigh(self, candidate: _Candidate, place: Place) -> None:
        configured = self._configured.get(candidate.tenant_id)
        if configured is None or candidate.tenant_id in self._changed:
            return
        self._charge((candidate.tenant_id, None), configured.limit, candidate.at_us, place)
        if candidate.user_id is not None:
            self._charge((candidate.tenant_id, candidate.user_id), configured.user_limit, candidate.at_us, place)

    def _charge(self, whose: tuple[str, str | None], limit: tuple[int, int] | None, at_us: int, place: Place) -> None:
        if limit is None:
            return
        rate = Rate(*limit)
        arrival_us = self._arrivals_us.get(whose)
        verdict = meter(rate, arrival_us, at_us, 1)
        self.tally.hold(
            None
            if isinstance(verdict, Fits)
            else f"{where(place)} of {'/'.join(filter(None, whose))} was admitted although {limit[0]} a minute and "
            f"{limit[1]} at once were used up: {verdict}"
        )
        self._arrivals_us[whose] = max(at_us, arrival_us or 0) + rate.span_us(1)

    def waits(self) -> Sequence[str]:
        return ()

    def end(self, snapshot: Snapshot) -> None:
        pass

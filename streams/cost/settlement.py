"""What a comparison with the provider changes, and what it leaves: the adjustments to write, and both sides' sums."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from schemas.adjustment import NOTHING, Adjustment, BookedCall
from streams.cost.reconciliation import (
    Agrees,
    NotBilled,
    NotFound,
    Outcome,
    Period,
    Stray,
    adjustment_of,
    before_usd,
    compare,
    own_id,
    stray_id,
)
from streams.cost.usage_export import UsageRecord

_JOIN = "+"
"""Between the deployments of one account; no name has it."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """`writes` is what has to be stored: nothing, when the same was compared before.

    Sums are of what was compared. Where the export is not complete, calls that are not in it are in no sum.
    """

    outcomes: tuple[Outcome, ...]
    writes: tuple[Adjustment, ...]
    records: int
    ours_before_usd: Decimal
    ours_after_usd: Decimal
    theirs_usd: Decimal

    @property
    def difference_usd(self) -> Decimal:
        return self.ours_after_usd - self.theirs_usd

    @property
    def not_found(self) -> tuple[NotFound, ...]:
        return tuple(each for each in self.outcomes if isinstance(each, NotFound))

    @property
    def strays(self) -> tuple[Stray, ...]:
        return tuple(each for each in self.outcomes if isinstance(each, Stray))

    @property
    def agreeing(self) -> int:
        return sum(isinstance(each, Agrees) for each in self.outcomes)

    @property
    def adjusted(self) -> int:
        """Calls whose amount is what the provider says, and not what we had or guessed."""
        return len(self.outcomes) - self.agreeing - len(self.not_found) - len(self.strays)


def settle(
    calls: Sequence[BookedCall],
    records: Sequence[UsageRecord],
    standing: Iterable[Adjustment],
    period: Period,
    *,
    is_complete: bool,
    run_id: str,
    deployments: Collection[str] = (),
) -> Settlement:
    """`standing`: the adjustments that are there, also those of strays. What no longer holds is withdrawn, unless the
    export is not complete: then it says nothing of what is not in it. `deployments`: those whose calls are compared,
    none named is all; the export says nothing of what another account was charged.
    """
    account = _JOIN.join(sorted(deployments)) or None
    outcomes = tuple(compare(calls, records, period, is_complete=is_complete, account=account))
    there = {each.adjustment_id: each for each in standing}
    there |= {each.adjustment_id: each for call in calls for each in call.adjustments}
    wanted = {each.adjustment_id: each for each in (adjustment_of(outcome, run_id) for outcome in outcomes) if each}
    strays = [each for each in there.values() if each.is_stray and each.produced_at_ms in period]
    scope = _compared(outcomes) | _superseded(outcomes, strays)
    if is_complete:
        scope |= _not_in_the_export(outcomes, (each for each in strays if _is_of(each, deployments)))
    gone = [there[each] for each in scope if each in there and each not in wanted and not there[each].is_withdrawn]
    changed = (each for each in wanted.values() if not each.says_the_same_as(there.get(each.adjustment_id)))
    stray_usd = _sum(each.delta_usd for each in strays if each.adjustment_id in scope)
    summed = [each for each in outcomes if is_complete or not isinstance(each, NotFound)]
    return Settlement(
        outcomes=outcomes,
        writes=(*changed, *(each.withdrawn(run_id) for each in gone)),
        records=sum(record.at_ms in period for record in records),
        ours_before_usd=stray_usd + _sum(each.call.amount_usd for each in summed if not isinstance(each, Stray)),
        ours_after_usd=_sum(map(_after_usd, summed)),
        theirs_usd=_sum(record.cost_usd for record in records if record.at_ms in period),
    )


def _not_in_the_export(outcomes: Iterable[Outcome], strays: Iterable[Adjustment]) -> set[str]:
    """Ids of adjustments on which a complete export has the last word although it is silent."""
    return {each.adjustment_id for each in strays} | {
        own_id(each.call) for each in outcomes if isinstance(each, NotFound)
    }


def _is_of(stray: Adjustment, deployments: Collection[str]) -> bool:
    """Whether it was booked by a comparison of no more than these."""
    return not deployments or (stray.deployment is not None and set(stray.deployment.split(_JOIN)) <= set(deployments))


def _compared(outcomes: Iterable[Outcome]) -> set[str]:
    """Of calls and records that were there to be compared."""
    kept = [each for each in outcomes if not isinstance(each, NotFound)]
    strays = {found.adjustment_id for each in kept if isinstance(each, Stray) and (found := adjustment_of(each, ""))}
    return strays | {own_id(each.call) for each in kept if not isinstance(each, Stray)}


def _superseded(outcomes: Iterable[Outcome], strays: Iterable[Adjustment]) -> set[str]:
    """Of strays whose call has come since, or whose record says something else by now: also a part of an export has the
    last word on what is in it, whichever account it was booked to.
    """
    records = [
        each.record for each in outcomes if not isinstance(each, NotBilled | NotFound) and each.record is not None
    ]
    named = {(record.provider, record.request_id) for record in records if record.request_id is not None}
    again = {stray_id(record) for record in records}
    return again | {
        each.adjustment_id
        for each in strays
        if not each.is_withdrawn and (each.provider, each.provider_request_id) in named
    }


def _after_usd(outcome: Outcome) -> Decimal | None:
    made = adjustment_of(outcome, "")
    if made is not None:
        return made.after_usd
    return None if isinstance(outcome, Stray) else before_usd(outcome.call)


def _sum(amounts: Iterable[Decimal | None]) -> Decimal:
    return sum((amount for amount in amounts if amount is not None), NOTHING)

"""Our calls, held against what the provider says it charged for. Both sides are whole: nothing is left unsaid.

A record is matched with a call by the provider's request id, else by our attempt id, which goes along as client
request id; each at most once. What lies in the period is decided by one side for both: a pair by the provider's time,
also where this export no longer has the record. So a call at midnight is in one day's comparison, and days add up to
their month, in whatever order and however often they are compared.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import assert_never

from schemas.adjustment import NOTHING, Adjustment, BookedCall, adjustment_id
from streams.cost.usage_export import UsageRecord

UNCERTAIN = frozenset({"estimated", "unknown_billable"})


@dataclass(frozen=True, slots=True)
class Agrees:
    """The same on both sides; nothing on both, where there is no record."""

    call: BookedCall
    record: UsageRecord | None


@dataclass(frozen=True, slots=True)
class Differs:
    """We had a price, or none, and the provider says another amount."""

    call: BookedCall
    record: UsageRecord


@dataclass(frozen=True, slots=True)
class Found:
    """We could only guess; the provider knows, if only that we guessed right. That is written down too: a comparison of
    another day, which does not see the record, must know that there was one.
    """

    call: BookedCall
    record: UsageRecord


@dataclass(frozen=True, slots=True)
class NotBilled:
    """We could only guess, and the provider's complete record has no such call: it costs nothing."""

    call: BookedCall


@dataclass(frozen=True, slots=True)
class NotFound:
    """We have its price, or it is not certain, and there is no record of it: nobody may change it for that."""

    call: BookedCall


@dataclass(frozen=True, slots=True)
class Stray:
    """A charge for a call that no row of ours accounts for. `owner`: the call whose attempt id it carries, which has
    another record of its own. `account`: the deployments that were compared, where not all were.
    """

    record: UsageRecord
    owner: BookedCall | None
    account: str | None = None


Outcome = Agrees | Differs | Found | NotBilled | NotFound | Stray


@dataclass(frozen=True, slots=True)
class Period:
    """From `start_ms` until before `end_ms`, UTC."""

    start_ms: int
    end_ms: int

    def __contains__(self, at_ms: int) -> bool:
        return self.start_ms <= at_ms < self.end_ms


def compare(
    calls: Sequence[BookedCall],
    records: Sequence[UsageRecord],
    period: Period,
    *,
    is_complete: bool,
    account: str | None = None,
) -> list[Outcome]:
    """`calls` and `records` of somewhat more than the period, so that those at its ends find their match.

    `is_complete`: the records are all that the provider charged for, so that what is not among them was not charged.
    """
    by_attempt: dict[str, BookedCall] = {}
    for call in sorted(calls, key=_order):
        by_attempt.setdefault(call.attempt_id, call)
    record_of = match(calls, records)
    outcomes: list[Outcome] = []
    for call in sorted(calls, key=_order):
        record = record_of.get(call_key(call))
        if _compared_at_ms(call, record) in period:
            outcomes.append(_unbilled(call, is_complete=is_complete) if record is None else _billed(call, record))
    taken = set(record_of.values())
    outcomes += [
        Stray(record, by_attempt.get(record.client_request_id or ""), account)
        for record in sorted(records, key=_record_order)
        if record not in taken and record.at_ms in period
    ]
    return outcomes


def match(calls: Iterable[BookedCall], records: Iterable[UsageRecord]) -> Mapping[tuple[str, ...], UsageRecord]:
    """By `call_key`, within one provider. Whoever it names goes first: what we sent along may have been sent twice."""
    ordered_calls, ordered_records = sorted(calls, key=_order), sorted(records, key=_record_order)
    found: dict[tuple[str, ...], UsageRecord] = {}
    taken: set[UsageRecord] = set()
    for their_id, our_id in ((_request_id, _provider_request_id), (_client_request_id, _attempt_id)):
        free: dict[tuple[str, str], list[UsageRecord]] = {}
        for record in ordered_records:
            if record not in taken and (known := their_id(record)):
                free.setdefault((record.provider, known), []).append(record)
        for call in ordered_calls:
            fitting = free.get((call.provider, our_id(call) or ""))
            if fitting and call_key(call) not in found:
                found[call_key(call)] = record = fitting.pop(0)
                taken.add(record)
    return found


def call_key(call: BookedCall) -> tuple[str, ...]:
    return call.tenant_id, str(call.produced_at_ms), call.request_id, call.attempt_id


def adjustment_of(outcome: Outcome, run_id: str) -> Adjustment | None:
    """What makes our side say what theirs does; None where nothing is to be changed."""
    match outcome:
        case Agrees() | NotFound():
            return None
        case Differs(call, record):
            return _to_bill(call, record, "the provider charges another amount", run_id)
        case Found(call, record):
            return _to_bill(call, record, "the provider knows what it costs", run_id)
        case NotBilled(call):
            return call.adjustment(
                own_id(call), "reconcile", NOTHING, reason="the provider did not charge it", run_id=run_id
            )
        case Stray(record, owner, account):
            return _stray(record, owner, account, run_id)
        case _:
            assert_never(outcome)


def own_id(call: BookedCall) -> str:
    return adjustment_id("reconcile", *call_key(call))


def stray_id(record: UsageRecord) -> str:
    """Of the adjustment that books a record for which there is no call."""
    said = (record.request_id or "", record.client_request_id or "", str(record.at_ms), record.model)
    return adjustment_id("reconcile", "stray", record.provider, *said, str(record.cost_usd), str(record.number))


def before_usd(call: BookedCall) -> Decimal | None:
    """What we have without any earlier comparison: running it again must find the same."""
    return call.amount_without(own_id(call))


def _compared_at_ms(call: BookedCall, record: UsageRecord | None) -> int:
    """Where there is no record now, the time of the one that was there in an earlier comparison."""
    if record is not None:
        return record.at_ms
    standing = call.standing(own_id(call))
    known_ms = None if standing is None else standing.charged_at_ms
    return call.started_at_ms if known_ms is None else known_ms


def _unbilled(call: BookedCall, *, is_complete: bool) -> Outcome:
    if before_usd(call) == 0:
        return Agrees(call, None)
    return NotBilled(call) if is_complete and call.cost_status in UNCERTAIN else NotFound(call)


def _billed(call: BookedCall, record: UsageRecord) -> Outcome:
    if call.cost_status in UNCERTAIN:
        return Found(call, record)
    return Agrees(call, record) if before_usd(call) == record.cost_usd else Differs(call, record)


def _to_bill(call: BookedCall, record: UsageRecord, reason: str, run_id: str) -> Adjustment:
    return call.adjustment(
        own_id(call),
        "reconcile",
        record.cost_usd,
        reason=reason,
        run_id=run_id,
        provider_request_id=record.request_id,
        charged_at_ms=record.at_ms,
    )


def _stray(record: UsageRecord, owner: BookedCall | None, account: str | None, run_id: str) -> Adjustment:
    return Adjustment(
        adjustment_id=stray_id(record),
        kind="reconcile",
        tenant_id=owner.tenant_id if owner else "",
        produced_at_ms=record.at_ms,
        request_id=owner.request_id if owner else "",
        attempt_id=record.client_request_id or "",
        provider_request_id=record.request_id,
        user_id=owner.user_id if owner else None,
        feature=owner.feature if owner else "",
        model=record.model,
        provider=record.provider,
        deployment=owner.deployment if owner else account,
        labels=owner.labels if owner else {},
        delta_usd=record.cost_usd,
        before_usd=NOTHING,
        after_usd=record.cost_usd,
        price_version=None,
        charged_at_ms=record.at_ms,
        reason="the provider charges a call that we have no row of",
        run_id=run_id,
    )


def _request_id(record: UsageRecord) -> str | None:
    return record.request_id


def _client_request_id(record: UsageRecord) -> str | None:
    return record.client_request_id


def _provider_request_id(call: BookedCall) -> str | None:
    return call.provider_request_id


def _attempt_id(call: BookedCall) -> str | None:
    return call.attempt_id


def _order(call: BookedCall) -> tuple[object, ...]:
    return call.started_at_ms, *call_key(call)


def _record_order(record: UsageRecord) -> tuple[object, ...]:
    said = (record.request_id or "", record.client_request_id or "", record.model)
    return record.at_ms, record.provider, *said, record.cost_usd, record.number

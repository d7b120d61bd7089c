"""What was learned of a call's cost after it was booked: the rows of `adjustments`, and the call they are added to."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from hashlib import sha256
from typing import Literal, Self

from schemas.usage import CostStatus, Usage, UsageSource

AdjustmentKind = Literal["reprice", "reconcile"]
NOTHING = Decimal("0e-9")
_ID_CHARS = 32
_WITHDRAWN = "withdrawn"


def adjustment_id(kind: AdjustmentKind, *said: str) -> str:
    """The same for the same words: whoever writes an adjustment twice has written it once."""
    return sha256("\x1f".join((kind, *said)).encode()).hexdigest()[:_ID_CHARS]


@dataclass(frozen=True, slots=True)
class Adjustment:
    """`before_usd` is None where nobody knew the cost until then. `tenant_id` is empty for a call of which no row is
    known. Money has at most nine digits behind the point.

    `charged_at_ms` is when the provider had the call, by the record that says so; None where no record does.
    """

    adjustment_id: str
    kind: AdjustmentKind
    tenant_id: str
    produced_at_ms: int
    request_id: str
    attempt_id: str
    provider_request_id: str | None
    user_id: str | None
    feature: str
    model: str
    provider: str | None
    deployment: str | None
    labels: Mapping[str, str]
    delta_usd: Decimal
    before_usd: Decimal | None
    after_usd: Decimal
    price_version: str | None
    charged_at_ms: int | None
    reason: str
    run_id: str

    def says_the_same_as(self, other: "Adjustment | None") -> bool:
        """Whoever made it, and when."""
        return other is not None and replace(other, run_id=self.run_id) == self

    @property
    def is_withdrawn(self) -> bool:
        return self.reason == _WITHDRAWN

    @property
    def is_stray(self) -> bool:
        """Whether it books a charge of the provider's that no call of ours accounts for."""
        said = (self.tenant_id, str(self.produced_at_ms), self.request_id, self.attempt_id)
        return self.kind == "reconcile" and self.adjustment_id != adjustment_id("reconcile", *said)

    def withdrawn(self, run_id: str) -> Self:
        """The row that takes its place when it no longer holds: it moves nothing, and makes nothing known."""
        return replace(
            self,
            delta_usd=NOTHING,
            before_usd=NOTHING,
            after_usd=NOTHING,
            price_version=None,
            charged_at_ms=None,
            reason=_WITHDRAWN,
            run_id=run_id,
        )


@dataclass(frozen=True, slots=True)
class BookedCall:
    """A call to a provider as `call_rows` has it, and what was added to it since.

    `is_open`: it is not priced yet, so that what it costs may still be booked.
    `model_used` is the name that the provider reports, `model_sent` the one it was sent, `model_requested` the one that
    was asked for. `price_as` is whose prices it was booked by. A row of before they were kept has neither `model_sent`
    nor `price_as`.
    """

    tenant_id: str
    request_id: str
    attempt_id: str
    provider_request_id: str | None
    produced_at_ms: int
    started_at_ms: int
    provider_ms: int | None
    user_id: str | None
    feature: str
    labels: Mapping[str, str]
    model_requested: str
    model_used: str | None
    provider: str
    deployment: str | None
    service_tier: str | None
    model_sent: str | None
    price_as: str | None
    is_open: bool
    usage: Usage
    usage_source: UsageSource
    cost_status: CostStatus
    booked_usd: Decimal | None
    price_version: str | None
    adjustments: tuple[Adjustment, ...] = field(default=())

    @property
    def model(self) -> str:
        return self.model_used or self.model_requested

    @property
    def is_settled(self) -> bool:
        """The provider's own record has said what it costs."""
        return any(each.kind == "reconcile" and not each.is_withdrawn for each in self.adjustments)

    @property
    def amount_usd(self) -> Decimal | None:
        """Booked and adjusted; None where nobody knows."""
        return self.amount_without("")

    def amount_without(self, own_id: str) -> Decimal | None:
        """The same as if the adjustment of this id had never been made."""
        others = [each for each in self.adjustments if each.adjustment_id != own_id]
        if self.booked_usd is None and all(each.before_usd is not None for each in others):
            return None
        return self._moved_without(own_id)

    def _moved_without(self, own_id: str) -> Decimal:
        """Not the amount where an adjustment that made it known is left out: later ones may have moved it."""
        others = (each.delta_usd for each in self.adjustments if each.adjustment_id != own_id)
        return sum(others, self.booked_usd or NOTHING)

    def standing(self, own_id: str) -> Adjustment | None:
        return next((each for each in self.adjustments if each.adjustment_id == own_id), None)

    def adjusted(self, new: Adjustment) -> Self:
        """With this one in the place of an earlier one of its id."""
        others = tuple(each for each in self.adjustments if each.adjustment_id != new.adjustment_id)
        return replace(self, adjustments=(*others, new))

    def adjustment(
        self,
        own_id: str,
        kind: AdjustmentKind,
        after_usd: Decimal,
        *,
        reason: str,
        run_id: str,
        price_version: str | None = None,
        provider_request_id: str | None = None,
        charged_at_ms: int | None = None,
    ) -> Adjustment:
        """What makes its amount this one, whatever was added before by others."""
        return Adjustment(
            adjustment_id=own_id,
            kind=kind,
            tenant_id=self.tenant_id,
            produced_at_ms=self.produced_at_ms,
            request_id=self.request_id,
            attempt_id=self.attempt_id,
            provider_request_id=provider_request_id or self.provider_request_id,
            user_id=self.user_id,
            feature=self.feature,
            model=self.model,
            provider=self.provider,
            deployment=self.deployment,
            labels=self.labels,
            delta_usd=after_usd - self._moved_without(own_id),
            before_usd=self.amount_without(own_id),
            after_usd=after_usd,
            price_version=price_version,
            charged_at_ms=charged_at_ms,
            reason=reason,
            run_id=run_id,
        )

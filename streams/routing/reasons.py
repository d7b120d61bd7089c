"""Why a target is not asked: a closed union, and what is said of each to people, on rows and to the requester."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from schemas.flow import Target
from schemas.response import Failure
from streams.cost.amount import plain

Feature = Literal["tools", "images", "structured_output"]
MOST_NAMED = 6
"""Targets in a message to the requester."""


class Gone(Struct, frozen=True):
    kind = "gone"
    said = "there is no such deployment"
    field = "model"
    remedy = "ask for another model"


class NoModel(Struct, frozen=True):
    kind = "no such model"
    said = "it does not have the model"
    field = "model"
    remedy = "ask for another model"


class OtherRegion(Struct, frozen=True):
    region: str | None
    allowed: tuple[str, ...]
    kind = "region"
    field = "tenant_id"
    remedy = "have the operator add a target where this tenant's data may go"

    @property
    def said(self) -> str:
        return f"it is in {self.region or 'no region'} and the tenant's data stays in {' or '.join(self.allowed)}"


class OtherTier(Struct, frozen=True):
    tier: str
    allowed: tuple[str, ...]
    kind = "tier"
    field = "tenant_id"
    remedy = "have the operator add a target for this tenant's tier"

    @property
    def said(self) -> str:
        return f"it is for tier {' or '.join(self.allowed)} and the tenant's is {self.tier}"


class Lacks(Struct, frozen=True):
    feature: Feature

    @property
    def kind(self) -> str:
        return self.feature.replace("_", " ")

    @property
    def said(self) -> str:
        return f"it does not take {self.kind}"

    @property
    def field(self) -> str:
        return _FIELD[self.feature]

    @property
    def remedy(self) -> str:
        return f"leave out {'its images' if self.feature == 'images' else self.field}, or ask for another model"


class TooLong(Struct, frozen=True):
    """Prompt, as estimated, and answer together."""

    tokens: int
    context_tokens: int
    kind = "context window"
    field = "messages"
    remedy = "shorten messages or lower params.max_tokens"

    @property
    def said(self) -> str:
        return f"its context window is {self.context_tokens} tokens and prompt and answer need about {self.tokens}"


class AnswerTooLong(Struct, frozen=True):
    max_tokens: int
    at_most: int
    kind = "answer length"
    field = "params.max_tokens"
    remedy = "lower params.max_tokens"

    @property
    def said(self) -> str:
        return f"its answers have at most {self.at_most} tokens and params.max_tokens is {self.max_tokens}"


class Cap(Struct, frozen=True):
    """The most that one call for a request may cost, and who says so."""

    usd: Decimal
    by: Literal["request", "tenant", "route"]

    @property
    def said(self) -> str:
        whose = "max_cost_usd" if self.by == "request" else f"the {self.by}'s max_request_usd"
        return f"{whose} is {plain(self.usd)}"


class TooDear(Struct, frozen=True):
    usd: Decimal
    cap: Cap
    kind = "cost"

    @property
    def said(self) -> str:
        return f"it may cost {plain(self.usd)} USD and {self.cap.said}"

    @property
    def field(self) -> str:
        return "max_cost_usd" if self.cap.by == "request" else "params.max_tokens"

    @property
    def remedy(self) -> str:
        more = "raise max_cost_usd, " if self.cap.by == "request" else ""
        return f"{more}shorten messages or lower params.max_tokens"


class Unpriced(Struct, frozen=True):
    """Nobody knows what it costs, and that must be known: for a cap, or because the route says so."""

    cap: Cap | None
    kind = "no price"
    field = "model"
    remedy = "ask for another model, or have the operator add a price object for it"

    @property
    def said(self) -> str:
        return f"it has no price, and {'the route takes no such model' if self.cap is None else self.cap.said}"


Absence = Gone | NoModel
"""Nobody could ask it: that is nothing about the request or its tenant."""
Constraint = OtherRegion | OtherTier | Lacks | TooLong | AnswerTooLong | TooDear | Unpriced
Reason = Absence | Constraint
"""Of each, `kind` is without numbers: rows are grouped by it. `field` is the request's that stands in the way."""


class PassedOver(Struct, frozen=True):
    """A target of the route that is not asked. `model` is our name for it."""

    deployment: str
    model: str
    reason: Reason


def no_target(route: str, passed_over: Sequence[PassedOver]) -> Failure:
    """What the requester is told when nothing is left: every target, why not, and what would do."""
    named = "; ".join(f"{each.model} at {each.deployment}: {each.reason.said}" for each in passed_over[:MOST_NAMED])
    more = len(passed_over) - MOST_NAMED
    missed = [each.reason for each in passed_over if isinstance(each.reason, Constraint)]
    missed.sort(key=lambda reason: isinstance(reason, OtherRegion | OtherTier))  # the requester's own are told first
    return Failure(
        code="no_target",
        message=f"no target of route {route} can be asked this ({named}{f'; and {more} more' if more > 0 else ''}): "
        + ", or ".join(dict.fromkeys(reason.remedy for reason in missed)),
        field=missed[0].field,
    )


def unpriced(route: str, targets: Sequence[Target]) -> Failure:
    """What the requester is told by a route that takes no model without a price."""
    models = ", ".join(sorted({f"{target.model} at {target.deployment}" for target in targets}))
    message = (
        f"route {route} takes no model without a price, and nobody has one for {models}; ask for another model, or "
        "have the operator add a price object for it"
    )
    return Failure(code="unpriced_model", message=message, field="model", retryable=False)


_FIELD: dict[Feature, str] = {
    "tools": "params.tools",
    "images": "messages",
    "structured_output": "params.response_format",
}

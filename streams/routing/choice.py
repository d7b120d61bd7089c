"""A route as it is for a tenant, before anything of a single request is looked at: worked out once, then remembered."""

from msgspec import Struct

from schemas.control import Route
from schemas.flow import Target
from schemas.routing import Features
from streams.routing.reasons import Cap, PassedOver


class Offer(Struct, frozen=True):
    """A target that this tenant may use. `features` None: nothing that a request asks for is beyond it."""

    target: Target
    model: str
    features: Features | None
    weight: int


class Choice(Struct, frozen=True):
    """The route that a request takes (with the targets that are for it), why, and where it leads: see `streams.routes`.

    `caps` are the tenant's and the route's. `is_plain`: whatever a request needs, it may be put to all of `targets`,
    in this order. `context_tokens` is the smallest context window of them, None where none has a known one. `judge`:
    the same of those who may be asked what they think of an answer.
    """

    route: Route
    reason: str
    offers: tuple[Offer, ...]
    targets: tuple[Target, ...]
    passed_over: tuple[PassedOver, ...]
    caps: tuple[Cap, ...]
    context_tokens: int | None
    is_plain: bool
    judge: "Choice | None" = None

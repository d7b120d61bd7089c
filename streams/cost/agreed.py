"""What a call costs, or may cost: list prices, and what was agreed with the provider."""

from decimal import Decimal

from schemas.flow import Target
from schemas.usage import Usage
from streams.control import ControlView
from streams.cost.price import price


def estimated_usd(
    control: ControlView,  # noqa: ARG001
    tenant_id: str,  # noqa: ARG001
    target: Target,
    input_tokens: int,
    output_tokens: int,
    at_ms: int,
) -> Decimal | None:
    """The dearest plausible cost of a request before it is made: nothing of it cached, in the standard tier. None
    where nobody knows a price.
    """
    used = Usage(uncached_input_tokens=input_tokens, text_output_tokens=output_tokens)
    return price(target.price_as or target.provider, target.model, used, at_ms).total_usd

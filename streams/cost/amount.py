"""An amount of USD as people read it."""

from decimal import Decimal


def plain(usd: Decimal) -> str:
    """Without an exponent or trailing zeros."""
    text = format(usd, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text

"""How far back calls can be adjusted: rows are deleted for their age, and the sums of their days are closed then."""

from scripts.cli.fault import Fault
from scripts.cli.since import clock
from sinks.ledger import Ledger


def refuse_what_is_gone(ledger: Ledger, start_ms: int, around_ms: int, otherwise: str) -> None:
    """`around_ms`: calls of so long before the start are looked at too. `otherwise`: what would come of it. Raises
    Fault, naming the horizon, and the driver's ClickHouseError.
    """
    horizon_ms = ledger.whole_since_ms() + around_ms
    if start_ms < horizon_ms:
        raise Fault(
            f"--from {clock(start_ms)}: calls of before {clock(horizon_ms)} UTC are deleted or about to be, so that "
            f"{otherwise}; begin then or later"
        )

"""Whether a tenant is stopped for spending too fast. Pure: `watch` writes the stops, `limit` obeys them."""

from schemas.response import Failure
from streams.control import ControlView


def stopped(control: ControlView, tenant_id: str, now_ms: int) -> Failure | None:
    """None where nothing stands against the request. A stop ends by time alone: nobody has to write that it has."""
    stop = control.spend_stops.get(tenant_id)
    if stop is None or not stop.since_ms <= now_ms < stop.until_ms:
        return None
    left_ms = stop.until_ms - now_ms
    return Failure(
        code="spend_stopped",
        message=f"{tenant_id} has spent {stop.usd_per_minute} USD in a minute and is stopped above "
        f"{stop.threshold_usd}; requests are taken again in {-(-left_ms // 1_000)} s, or once an operator lifts "
        "the stop (millrace spend-stop lift)",
        field="tenant_id",
        retryable=True,
        retry_after_ms=left_ms,
    )

"""Whether a tenant is served at all, also one whose requests are under way: what is told where it is not."""

from typing import Literal

from schemas.flow import Ticket
from schemas.response import Failure
from streams.control import ControlView

LONGEST_TENANT_ID = 64
CATCH_UP_MS = 10_000
"""So long a request is held back by a process that has not read the configuration yet by which it was let in."""
LOOK_AGAIN_MS = 50


def not_served(control: ControlView, tenant_id: str) -> Failure | None:
    """None where the tenant is configured, and not switched off."""
    tenant = control.tenants.get(tenant_id)
    if tenant is None:
        shown = tenant_id[:LONGEST_TENANT_ID]
        message = f"tenant_id {shown!r} is not known here; check it, or have the operator add the tenant"
        return Failure(code="unknown_tenant", message=message, field="tenant_id")
    if not tenant.enabled:
        message = f"tenant {tenant_id!r} is switched off; ask the operator"
        return Failure(code="unauthenticated", message=message, field="tenant_id")
    return None


def turned_out(
    control: ControlView, ticket: Ticket, now_ms: int, parked_ms: int | None
) -> Failure | Literal["not read yet"] | None:
    """Of a request that was let in: why its tenant is not served any more. A tenant that is new was let in by a
    configuration that this process may not have read yet.
    """
    failure = not_served(control, ticket.tenant_id or "")
    since_ms = now_ms if parked_ms is None else parked_ms
    if failure is not None and control.version < ticket.config_version and now_ms < since_ms + CATCH_UP_MS:
        return "not read yet"
    return failure

"""Who waits for the limits of its tenant, as `limit` wrote it down. No Kafka here."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from schemas.account import Registration
from schemas.control import Tenant
from scripts.cli.account_tables import Tables
from streams.deferral import estimated_wait_ms
from streams.limits import EXPECTED_OUTPUT_TOKENS, Asker


@dataclass(frozen=True, slots=True)
class Waits:
    """The estimate is for a request of no user, without a prompt to speak of."""

    tenant: str
    requests: int
    oldest_wait_ms: int
    estimated_wait_ms: int


def waits(tables: Tables, tenants: Mapping[str, Tenant], now_ms: int) -> list[Waits]:
    """By tenant, most first."""
    waiting: dict[str, list[Registration]] = defaultdict(list)
    for each in tables.registrations.values():
        if each.deferred_until_ms is not None:
            waiting[each.tenant_id].append(each)
    found: list[Waits] = []
    for name, mine in waiting.items():
        crowd = tables.state.waiting.of(name)
        asker = Asker(name, None, None)
        wait_ms = estimated_wait_ms(crowd, tenants.get(name), asker, EXPECTED_OUTPUT_TOKENS, tables.state, now_ms)
        oldest_ms = max(now_ms - min(each.seen_at_ms for each in mine), 0)
        found.append(Waits(name, len(mine), oldest_ms, max(wait_ms, 0)))
    return sorted(found, key=lambda each: (-each.requests, each.tenant))

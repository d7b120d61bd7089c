"""What `limit` has on its accounts is what the rows of `llm.calls` say, each attempt once: whatever was killed or taken
again.
"""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

from scripts.chaos.verify.facts import Accounted, Called, Seen
from scripts.chaos.verify.snapshot import Snapshot
from scripts.chaos.verify.tally import Tally

NOTHING = Decimal(0)


class Spending:
    """Compared at the end, when `limit` has taken every row. Of a call whose cost nobody knows the account has a guess,
    which it tells apart.
    """

    def __init__(self) -> None:
        self.tally = Tally(
            "spending is counted once", "account of a tenant = its rows of known cost, each attempt once"
        )
        self._accounts: dict[tuple[str, str, str, str], Accounted] = {}
        self._known_usd: dict[str, Decimal] = defaultdict(Decimal)
        self._counted: set[str] = set()

    @property
    def tallies(self) -> Sequence[Tally]:
        return (self.tally,)

    def take(self, seen: Seen) -> None:
        match seen.fact:
            case Accounted(tenant_id=tenant_id, budget=budget, subject=subject, period=period) as account:
                self._accounts[tenant_id, budget, subject, period] = account
            case Called(phase="priced", tenant_id=tenant_id, cost_usd=usd) as called if tenant_id and usd is not None:
                if called.attempt_id not in self._counted:
                    self._counted.add(called.attempt_id)
                    self._known_usd[tenant_id] += usd
            case _:
                pass

    def look(self, snapshot: Snapshot) -> None:
        pass

    def waits(self) -> Sequence[str]:
        return ()

    def end(self, _snapshot: Snapshot) -> None:
        budgets = {(account.tenant_id, account.budget) for account in self._accounts.values()}
        for tenant_id, budget in sorted(budgets):
            counted = sum(
                (a.known_usd for a in self._accounts.values() if (a.tenant_id, a.budget) == (tenant_id, budget)),
                NOTHING,
            )
            known = self._known_usd[tenant_id]
            self.tally.hold(
                None if counted == known else f"{budget} has counted {counted} USD of {tenant_id}, its rows say {known}"
            )

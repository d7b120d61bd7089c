"""What a run came to, folded from what was sent and what came back. No input or output of its own."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import Any

from schemas.response import Response


@dataclass(frozen=True, slots=True)
class BookedTotals:
    """What ClickHouse says. `final_rows` is one per finished request."""

    call_rows: int
    final_rows: int
    cost_usd: Decimal
    unknown_costs: int


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What is left when ours was adjusted to the provider's bill. `wrong_prices`: calls that we had a certain price
    for, and the provider another; `unexplained_rows` are on one side only.
    """

    difference_usd: Decimal
    unexplained_rows: int
    wrong_prices: int
    adjusted_rows: int
    adjusted_usd: Decimal

    @property
    def is_right(self) -> bool:
        return not (self.difference_usd or self.unexplained_rows or self.wrong_prices)


@dataclass(frozen=True, slots=True)
class Summary:
    """`missing` and `duplicates` are request ids. `provider_bill_usd` and `reconciled` are None where the real
    providers were asked. `cost_usd` is what was booked, before it was adjusted.
    """

    requests: int
    responses: int
    missing: tuple[str, ...]
    duplicates: tuple[str, ...]
    by_status: Mapping[str, int]
    by_cache: Mapping[str, int]
    by_model: Mapping[str, int]
    call_rows: int
    cost_usd: Decimal
    unknown_costs: int
    provider_bill_usd: Decimal | None
    reconciled: Reconciled | None
    added_ms: Mapping[str, int]

    @property
    def cost_matches(self) -> bool:
        return self.provider_bill_usd is None or (self.unknown_costs == 0 and self.cost_usd == self.provider_bill_usd)

    @property
    def is_right(self) -> bool:
        is_settled = self.reconciled is None or self.reconciled.is_right
        return not self.missing and not self.duplicates and is_settled

    def as_json(self) -> dict[str, Any]:
        """Counts and milliseconds as numbers, money as decimal text so that nobody rounds it."""
        return {
            "requests": self.requests,
            "responses": self.responses,
            "missing": len(self.missing),
            "duplicates": len(self.duplicates),
            "by_status": dict(self.by_status),
            "by_cache": dict(self.by_cache),
            "by_model": dict(self.by_model),
            "call_rows": self.call_rows,
            "cost_usd": str(self.cost_usd),
            "unknown_costs": self.unknown_costs,
            "provider_bill_usd": None if self.provider_bill_usd is None else str(self.provider_bill_usd),
            **({} if self.reconciled is None else _shown(self.reconciled)),
            "added_latency_ms": dict(self.added_ms),
            "missing_ids": list(self.missing),
            "duplicate_ids": list(self.duplicates),
        }


def summarise(
    sent: Sequence[str],
    responses: Iterable[Response],
    totals: BookedTotals,
    bill: Decimal | None,
    reconciled: "Reconciled | None",
) -> Summary:
    """`sent` are the request ids to be answered, each as often as it was published; an id is answered once."""
    wanted = dict.fromkeys(sent)
    mine = [response for response in responses if response.request_id in wanted]
    answers = Counter(response.request_id for response in mine)
    added = [r.timings.added_ms for r in mine if r.status == "ok"]
    return Summary(
        requests=len(wanted),
        responses=len(mine),
        missing=tuple(request_id for request_id in wanted if not answers[request_id]),
        duplicates=tuple(request_id for request_id, count in answers.items() if count > 1),
        by_status=Counter(r.status for r in mine),
        by_cache=Counter(r.cache for r in mine),
        by_model=Counter(r.model or "none" for r in mine),
        call_rows=totals.call_rows,
        cost_usd=totals.cost_usd,
        unknown_costs=totals.unknown_costs,
        provider_bill_usd=bill,
        reconciled=reconciled,
        added_ms={"p50": quantile(added, 0.5), "p99": quantile(added, 0.99)},
    )


def _shown(reconciled: Reconciled) -> dict[str, Any]:
    return {
        "difference_usd": f"{reconciled.difference_usd.normalize():f}",
        "unexplained_rows": reconciled.unexplained_rows,
        "wrong_prices": reconciled.wrong_prices,
        "adjusted_rows": reconciled.adjusted_rows,
        "adjusted_usd": f"{reconciled.adjusted_usd:f}",
    }


def quantile(values: Sequence[int], share: float) -> int:
    """The smallest value that at least this share does not exceed; 0 for none."""
    return sorted(values)[max(ceil(len(values) * share), 1) - 1] if values else 0

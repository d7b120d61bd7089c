"""The provider's own bill: one line for every call a provider charges for, priced exactly.

Cost tests compare what the gateway booked with this. Lines are kept as the bytes they are served as.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Literal

import orjson

from scripts.simulator.prices import Model
from scripts.simulator.shapes import Object
from scripts.simulator.usage import UNUSED, Usage

Ending = Literal["complete", "cut", "abandoned"]


def key_id(api_key: str) -> str:
    """Tells keys apart on the bill without being one."""
    return sha256(api_key.encode()).hexdigest()[:12]


def plain(amount: Decimal) -> str:
    """The exact amount without an exponent or trailing zeros."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


@dataclass(frozen=True, slots=True)
class Charge:
    """A call as it ended: `complete`, `cut` by the provider, or `abandoned` by its client. `arrived`: when all of its
    question was there, in UTC.
    """

    model: Model
    arrived: datetime
    key_id: str
    endpoint: str
    request_id: str
    client_request_id: str | None
    stream: bool
    usage: Usage
    ending: Ending


@dataclass(slots=True)
class _Account:
    calls: int = 0
    usage: Usage = UNUSED
    cost: Decimal = Decimal(0)
    endings: dict[Ending, int] = field(default_factory=lambda: {"complete": 0, "cut": 0, "abandoned": 0})


class Bill:
    """`now` returns the current UTC time. A file is appended to line by line, so that a killed process has its bill."""

    def __init__(self, now: Callable[[], datetime], file: Path | None = None) -> None:
        self._now = now
        self._file: BinaryIO | None = file.open("ab", buffering=0) if file is not None else None
        self._lines: list[bytes] = []
        self._accounts: dict[str, _Account] = {}

    def charge(self, charge: Charge) -> Decimal:
        """Adds the line and returns its cost in USD."""
        prices = charge.model.prices_for(charge.usage)
        cost = prices.cost(charge.usage)
        account = self._accounts.setdefault(charge.model.name, _Account())
        account.calls += 1
        account.usage = account.usage.plus(charge.usage)
        account.cost += cost
        account.endings[charge.ending] += 1
        row = orjson.dumps(
            {
                "arrived": charge.arrived.isoformat(timespec="milliseconds"),
                "time": self._now().isoformat(timespec="milliseconds"),
                "key_id": charge.key_id,
                "provider": charge.model.provider,
                "model": charge.model.name,
                "endpoint": charge.endpoint,
                "request_id": charge.request_id,
                "client_request_id": charge.client_request_id,
                "stream": charge.stream,
                "kind": charge.ending,
                "tokens": charge.usage.counts(),
                "usd_per_million": {name: plain(price) for name, price in prices if isinstance(price, Decimal)},
                "cost_usd": plain(cost),
            }
        )
        # The concatenation is a copy: what orjson returns keeps its 4 KB buffer for as long as it lives.
        line = row + b"\n"
        self._lines.append(line)
        if self._file is not None:
            self._file.write(line)
        return cost

    def lines(self) -> list[bytes]:
        """Every line so far as JSON with its newline."""
        return self._lines.copy()

    def summary(self) -> Object:
        return {
            "calls": sum(account.calls for account in self._accounts.values()),
            "cost_usd": plain(sum((account.cost for account in self._accounts.values()), Decimal(0))),
            "models": {
                name: {
                    "calls": account.calls,
                    "cost_usd": plain(account.cost),
                    "tokens": account.usage.counts(),
                    "kinds": account.endings,
                }
                for name, account in sorted(self._accounts.items())
            },
        }

    def clear(self) -> None:
        """Forgets the lines in memory; a file keeps what was written to it."""
        self._lines.clear()
        self._accounts.clear()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

"""Everything one simulator remembers, put together from its settings."""

import itertools
import secrets
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

from scripts.simulator.answers import Author
from scripts.simulator.bill import Bill
from scripts.simulator.faults import Faults
from scripts.simulator.latency import Tempo
from scripts.simulator.prompt_cache import PromptCache
from scripts.simulator.quota import Quota
from scripts.simulator.settings import SimulatorSettings
from scripts.simulator.shapes import Object

REVOKED_KEY = "sk-revoked"


@dataclass(slots=True)
class Stats:
    """Counted since the start; `in_flight` are calls whose answer is not complete."""

    requests: Counter[str] = field(default_factory=Counter[str])
    statuses: Counter[int] = field(default_factory=Counter[int])
    faults: Counter[str] = field(default_factory=Counter[str])
    in_flight: int = 0
    most_in_flight: int = 0

    def enter(self, endpoint: str) -> None:
        self.requests[endpoint] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def leave(self) -> None:
        self.in_flight -= 1

    def shown(self) -> Object:
        return {
            "requests": dict(self.requests),
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "faults": dict(self.faults),
            "in_flight": self.in_flight,
            "most_in_flight": self.most_in_flight,
        }


class State:
    def __init__(self, settings: SimulatorSettings) -> None:
        self.author = Author(settings.seed, settings.answer_tokens, settings.answer_spread)
        self.tempo = Tempo(
            seed=settings.seed,
            latency_ms=settings.latency_ms,
            ttft_ms=settings.ttft_ms,
            spread=settings.latency_spread,
            tokens_per_s=settings.tokens_per_s,
        )
        self.faults = Faults(settings.seed, settings.plan())
        self.cache = PromptCache(time.monotonic)
        self.quota = Quota(settings.requests_per_minute, settings.tokens_per_minute, time.monotonic)
        self.bill = Bill(self.now, settings.bill_file)
        self.stats = Stats()
        self.stopping = False
        self._keys = frozenset(key.get_secret_value() for key in settings.key)
        self._run = secrets.token_hex(4)
        self._calls = itertools.count(1)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def serial(self) -> str:
        """24 hex digits that no call of this or another run has."""
        return f"{self._run}{next(self._calls):016x}"

    def accepts(self, key: str) -> bool:
        return key != REVOKED_KEY and (not self._keys or key in self._keys)

"""What the rows of one batch say to others, in as few records as may be: for each deployment and bucket of its health,
and for each model, one.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from streams.watch.breaker import Call
from streams.watch.sightings import Sighted, UnpricedSeen, calls_together, unpriced_together


@dataclass(slots=True)
class _Calls:
    written_at_ms: int = 0
    seen: list[Call] = field(default_factory=list[Call])


@dataclass(slots=True)
class _Unpriced:
    seen: UnpricedSeen
    written_at_ms: int = 0
    times: int = 0


class Sights:
    def __init__(self, bucket_ms: int) -> None:
        self._bucket_ms = bucket_ms
        self._calls: dict[tuple[str, int], _Calls] = defaultdict(_Calls)
        self._unpriced: dict[str, _Unpriced] = {}

    def call(self, deployment: str, call: Call, written_at_ms: int) -> None:
        calls = self._calls[deployment, written_at_ms // self._bucket_ms]
        calls.seen.append(call)
        calls.written_at_ms = written_at_ms

    def unpriced(self, seen: UnpricedSeen, written_at_ms: int) -> None:
        model = self._unpriced.setdefault(seen.subject, _Unpriced(seen))
        model.times += 1
        model.written_at_ms = written_at_ms

    def together(self) -> Iterator[tuple[Sighted, int]]:
        """Each with the time it is to bear, UTC ms: the bucket it counts in."""
        for (deployment, _), calls in self._calls.items():
            yield calls_together(deployment, calls.seen), calls.written_at_ms
        for model in self._unpriced.values():
            yield unpriced_together(model.seen, model.times), model.written_at_ms

"""What Faust has handed to the broker for us and not yet heard of. Nothing is committed before it is all there."""

import asyncio
from math import ceil
from typing import Any

import faust
from faust.types.transports import ProducerT
from faust.types.tuples import PendingMessage, RecordMetadata
from typing_extensions import override

_LOOK_S = 0.02


class Deliveries(faust.Sensor):
    """`refused` is why the broker did not take a record: Faust only warns of it, and the change of a table, or a
    sighting, is lost. The process must end and start over from what was committed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.refused: BaseException | None = None
        self._begun = 0
        self._under_way: set[int] = set()

    @override
    def on_send_initiated(
        self, producer: ProducerT, topic: str, message: PendingMessage, keysize: int, valsize: int
    ) -> int:
        self._begun += 1
        self._under_way.add(self._begun)
        return self._begun

    @override
    def on_send_completed(self, producer: ProducerT, state: Any, metadata: RecordMetadata) -> None:
        self._under_way.discard(state)

    @override
    def on_send_error(self, producer: ProducerT, exc: BaseException, state: Any) -> None:
        self._under_way.discard(state)
        self.refused = self.refused or exc

    async def settled(self, buffer: Any, within_s: float) -> bool:
        """Whether the broker has all that was written before this call; `buffer` is Faust's producer's, where changes
        of tables wait to be sent. Faust's own flush waits for it no longer than 0.1 s.
        """
        begun: set[int] | None = None
        for _ in range(ceil(within_s / _LOOK_S)):
            if self.refused is not None:
                return False
            if begun is None and not buffer.size:
                begun = set(self._under_way)
            if begun is not None and not begun & self._under_way:
                return True
            await asyncio.sleep(_LOOK_S)
        return False

"""One write to a sink on a thread of its own, so that whoever waits for it can do something else meanwhile."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, wait

from schemas.call import CallRow
from sinks.protocol import Refusal, Sink


class Writing:
    """Begins at once. Nothing else may write to the sink until it has ended.

    It does not keep the process alive: of a write that is abandoned nobody knows whether it was stored.
    """

    def __init__(self, sink: Sink, rows: Sequence[CallRow]) -> None:
        self._future: Future[Sequence[Refusal]] = Future()

        def write() -> None:
            try:
                self._future.set_result(sink.write(rows))
            except BaseException as error:  # noqa: BLE001  # raised again by `result`, where the loop runs
                self._future.set_exception(error)

        threading.Thread(target=write, name="sink-write", daemon=True).start()

    def ends_within(self, timeout_s: float) -> bool:
        return bool(wait([self._future], timeout_s).done)

    def result(self) -> Sequence[Refusal]:
        """What `Sink.write` returned or raised, once it has ended."""
        return self._future.result()

"""Dead letters as a share of what a worker finishes: the sign of a release that cannot do its work.

Such a release must not drain its topic into the dead letters and tell every requester that it failed.
"""

from collections import deque
from dataclasses import dataclass, field

from streams.runtime.outcome import OUR_FAULT, Reason
from streams.settings import WorkerSettings

_NEVER_PERCENT = 100


class SpilledError(Exception):
    """The stage stops before it buries one more. What it had buried is kept, and its requesters are told."""


@dataclass(slots=True)
class _Input:
    finished: int = 0
    letters: deque[int] = field(default_factory=deque[int])
    """How many were finished before each of them, as far back as the window."""


class Spill:
    """Counts per worker, over the last events of each topic it reads: what is well on one topic must not make up for
    another that is lost. Only what is our fault: what producers do wrong never adds up here.

    `by_batch`: a batch of which one may not be buried is as good as never taken, with all that was to be buried of it.
    """

    def __init__(self, stage: str, settings: WorkerSettings, *, by_batch: bool = False) -> None:
        self._stage = stage
        self._by_batch = by_batch
        self._most = settings.spill_letters
        self._percent = settings.spill_percent
        self._window = settings.spill_window
        self._inputs: dict[str, _Input] = {}

    def finished(self, topic: str, times: int = 1) -> None:
        """So many more events were handled, however they ended."""
        self._input(topic).finished += times

    def burying(self, topic: str, reason: Reason, problem: str) -> None:
        """One is about to be buried, and counts. Raises SpilledError when it must not be."""
        if reason not in OUR_FAULT:
            return
        counted = self._input(topic)
        letters = counted.letters
        while letters and letters[0] < counted.finished - self._window:
            letters.popleft()
        seen = min(counted.finished, self._window)
        buried = len(letters)
        is_share = self._percent < _NEVER_PERCENT and 100 * buried >= self._percent * seen
        if buried >= self._most and is_share:
            raise SpilledError(self._told(topic, buried, seen, f"{reason} ({problem})"))
        letters.append(counted.finished)

    def _input(self, topic: str) -> _Input:
        counted = self._inputs.get(topic)
        if counted is None:
            counted = self._inputs[topic] = _Input()
        return counted

    def _told(self, topic: str, buried: int, seen: int, why: str) -> str:
        if self._by_batch:
            became, left = "became dead letters, or were about to", "Its last batch waits there, all of it"
        else:
            became, left = "became dead letters", "What it has not taken waits there"
        return (
            f"{self._stage} stops: {buried} of its last {seen} events {became}, all of {topic}, now for {why}. "
            f"{left}. Look at what is buried with `millrace dlq list --stage {self._stage}`, go back to the release "
            "before or repair this one, start it again, and give them back with "
            f"`millrace dlq redrive --stage {self._stage}`"
        )

"""Dead letters as a share of what a worker finishes: the sign of a release that cannot do its work.

Such a release must not drain its topic into the dead letters and tell every requester that it failed.
"""

from collections import deque

from streams.runtime.outcome import OUR_FAULT, Reason
from streams.settings import WorkerSettings


class SpilledError(Exception):
    """The stage stops before it buries one more. What it had buried is kept, and its requesters are told."""


class Spill:
    """Counts per worker, over its last events. Only what is our fault: what producers do wrong never adds up here."""

    def __init__(self, stage: str, settings: WorkerSettings) -> None:
        self._stage = stage
        self._most = settings.spill_letters
        self._percent = settings.spill_percent
        self._window = settings.spill_window
        self._finished = 0
        self._letters: deque[int] = deque()
        """At how many finished events each was buried, as far back as the window."""

    def finished(self) -> None:
        """One more event was handled, however it ended."""
        self._finished += 1

    def burying(self, reason: Reason, problem: str) -> None:
        """One is about to be buried, and counts. Raises SpilledError when it must not be."""
        if reason not in OUR_FAULT:
            return
        while self._letters and self._letters[0] <= self._finished - self._window:
            self._letters.popleft()
        seen = min(self._finished, self._window)
        buried = len(self._letters)
        if buried >= self._most and 100 * buried > self._percent * seen:
            raise SpilledError(self._told(buried, seen, reason, problem))
        self._letters.append(self._finished)

    def _told(self, buried: int, seen: int, reason: Reason, problem: str) -> str:
        return (
            f"{self._stage} stops: {buried} of its last {seen} events became dead letters, now for {reason} "
            f"({problem}). "
            "What it has not taken waits on its topic. Look at them with `millrace dlq list --stage "
            f"{self._stage}`, go back to the release before or repair this one, start the stage again, and give them "
            f"back with `millrace dlq redrive --stage {self._stage}`"
        )

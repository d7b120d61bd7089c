"""What is paid for twice was interrupted: by the end of its worker, or by the loss of touch with the brokers.

A repetition is a paid run through a request's plan after another: retries and fallbacks of one run are none. Each needs
an earlier run of its own that a fault met before it began, and that was not long completed by then. In the whole run
there are no more than calls were under way when workers may have lost them. No topic says which worker made a call, so
both are bounds and no equations.
"""

from collections.abc import Sequence

from scripts.chaos.verify.attempts import Attempts
from scripts.chaos.verify.facts import Seen
from scripts.chaos.verify.interruptions import Interruption, interruptions
from scripts.chaos.verify.runs import Run, runs_of
from scripts.chaos.verify.snapshot import Snapshot
from scripts.chaos.verify.tally import Tally
from scripts.chaos.verify.wording import clock

KNOWN_MS = 30_000
"""A new owner reads back what is completed before it begins anything; what it took over before that may have waited."""


class Repeats:
    def __init__(self, attempts: Attempts) -> None:
        self.tally = Tally("repeats explained", "each paid repetition follows an interrupted run of its own")
        self.bound = Tally("repeats bounded", "paid repetitions ≤ runs under way when workers may have lost them")
        self.repeated = 0
        self._attempts = attempts

    @property
    def tallies(self) -> Sequence[Tally]:
        return self.tally, self.bound

    def take(self, seen: Seen) -> None:
        pass

    def look(self, snapshot: Snapshot) -> None:
        pass

    def waits(self) -> Sequence[str]:
        return ()

    def end(self, snapshot: Snapshot) -> None:
        faults = interruptions(snapshot.disruptions)
        by_identity: dict[str, list[str]] = {}
        for attempt_id, attempt in self._attempts.by_id.items():
            if attempt.is_attempt:
                by_identity.setdefault(attempt.identity, []).append(attempt_id)
        every: list[Run] = []
        repetitions = 0
        for identity, attempts in by_identity.items():
            explained = self._attempts.first_completions.get(identity, ())
            self.repeated += sum(self._attempts.by_id[each].bills > 0 and each not in explained for each in attempts)
            paid = [run for run in runs_of(attempts, self._attempts) if self._is_paid(run)]
            every += paid
            # what only waited had failed, and was to be asked again in any case
            repetitions += max(len([run for run in paid if not run.is_waiting]) - 1, 0)
            unexplained = _unexplained(paid, faults)
            self.tally.hold(
                f"{identity}: {len(paid)} paid runs, {len(unexplained)} of them after none that was interrupted; "
                f"{', '.join(map(_told, paid))}"
                if unexplained
                else None
            )
        most = sum(fault.most(every) for fault in faults)
        self.bound.hold(
            f"{repetitions} paid repetitions, and at most {most} runs were interrupted" if repetitions > most else None
        )

    def _is_paid(self, run: Run) -> bool:
        return any(self._attempts.by_id[each].bills for each in run.attempts)


def _unexplained(paid: Sequence[Run], faults: Sequence[Interruption]) -> list[Run]:
    """Those after the first without an earlier one of their own that explains them."""
    left = list(paid[:1])
    unexplained: list[Run] = []
    for run in paid[1:]:
        interrupted = next((each for each in reversed(left) if _explains(each, run, faults)), None)
        if interrupted is None:
            unexplained.append(run)
        else:
            left.remove(interrupted)
        left.append(run)
    return unexplained


def _explains(before: Run, run: Run, faults: Sequence[Interruption]) -> bool:
    if before.completed_ms is not None and run.started_ms > before.completed_ms + KNOWN_MS:
        return False
    return any(fault.from_ms <= run.started_ms and fault.meets(before) for fault in faults)


def _told(run: Run) -> str:
    end = "completed" if run.completed_ms is not None else "last heard of"
    return f"{run.attempts[0]} started {clock(run.started_ms)} {end} {clock(run.ended_ms)}"

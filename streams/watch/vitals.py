"""What `watch` shows of itself: lag and breakers as metrics, and health that follows work."""

from typing import Any, Literal

from faust.types.tuples import TP

from streams.control import ControlView
from streams.observe.health import Progress
from streams.observe.metrics import Metrics
from streams.watch.connection import STAGE


class Vitals:
    """`report` regularly from a timer of the app: a loop that does not come round is how stalling is noticed.

    Unfinished are all records known to be on the topics: an agent that died quietly leaves them there.
    """

    def __init__(self, app: Any, metrics: Metrics, progress: Progress) -> None:
        self._app = app
        self._metrics = metrics
        self._progress = progress
        self._state: Literal["starting", "restoring", "running"] = "starting"
        self._finished = 0

    def report(self, view: ControlView, finished: int) -> None:
        """`finished`: how many events the agents have finished since they started."""
        moved = finished != self._finished
        self._finished = finished
        unfinished = self._measure_lag()
        self._show(view)
        state = "restoring" if self._app.rebalancing or self._app.in_recovery else "running"
        if state != self._state:
            self._state = state
            self._progress.state(state)
        self._progress.looped(unfinished, moved=moved)

    def read_and_committed(self) -> tuple[dict[TP, int], dict[TP, int]]:
        """Of each partition of ours, the last offset read and the one that is committed, where known."""
        monitor = self._app.monitor
        ours = {where for where in self._app.consumer.assignment() if self._is_work(where)}
        return (
            {where: offset for where, offset in monitor.tp_read_offsets.items() if where in ours},
            {where: offset for where, offset in monitor.tp_committed_offsets.items() if where in ours},
        )

    def _is_work(self, where: TP) -> bool:
        return where.topic not in self._app.tables.changelog_topics

    def _measure_lag(self) -> int:
        """Sets the lag of every partition of ours and returns how many records have not been read."""
        monitor, unfinished = self._app.monitor, self._unacknowledged()
        for where in self._app.consumer.assignment():
            end = monitor.tp_end_offsets.get(where)
            if end is None or not self._is_work(where):
                continue
            next_to_read = monitor.tp_read_offsets.get(where, end - 1) + 1
            next_to_commit = monitor.tp_committed_offsets.get(where, next_to_read)
            unfinished += max(0, end - next_to_read)
            lag = max(0, end - next_to_commit)
            self._metrics.set("millrace_lag_records", STAGE, where.topic, str(where.partition), to=lag)
        self._metrics.set("millrace_in_flight", STAGE, "all", to=unfinished)
        return unfinished

    def _unacknowledged(self) -> int:
        return sum(len(batch.deliveries) for batch in self._app.consumer.unacked)

    def _show(self, view: ControlView) -> None:
        self._metrics.set("millrace_config_version", STAGE, to=view.version)
        for breaker in view.breakers.values():
            self._metrics.set("millrace_breaker_open", breaker.name, to=breaker.state == "open")
        for each in view.slowdowns.values():
            self._metrics.set("millrace_goal_per_minute", each.name, to=each.goal_per_minute)
            self._metrics.set("millrace_pace_per_minute", each.name, to=each.requests_per_minute)

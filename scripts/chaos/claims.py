"""Who has what: a target belongs to one fault from before it is done until the target has recovered from it."""

import threading

from scripts.chaos.schedule import Planned

BROKERS_CLAIM = "brokers"
"""All of them at once, since one at most may be down."""


def claim_of(planned: Planned) -> str:
    """What nobody else may have meanwhile. The way to a target is another thing than the target."""
    match planned.lane:
        case "brokers" if planned.part == "broker":
            return BROKERS_CLAIM
        case "network":
            return f"the way to {planned.target}"
        case "provider":
            return "the provider's answers"  # its fault plan is one
        case "pauses" if planned.kind == "scale":
            return "a further worker"  # a supervisor starts and stops one thing at a time
        case _:
            return planned.target


class Claims:
    """May be asked from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, Planned] = {}

    def take(self, planned: Planned) -> Planned | None:
        """None when it is `planned`'s from now on; else whose it is."""
        with self._lock:
            holder = self._held.setdefault(claim_of(planned), planned)
        return None if holder is planned else holder

    def release(self, planned: Planned) -> None:
        """Nothing happens where it is not `planned`'s."""
        with self._lock:
            if self._held.get(claim_of(planned)) is planned:
                del self._held[claim_of(planned)]

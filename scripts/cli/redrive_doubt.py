"""What cannot be told of a dead letter: whether a provider was paid for it, and whether it was answered since."""

from schemas.topics import CALLS, DISPATCH, Topic
from scripts.cli.dead_letter import DeadLetter
from streams.state.given_responses import REMEMBERED_MS

_HOUR_MS = 3_600_000
_LANES = frozenset(topic.name for topic in DISPATCH.values())


def doubt_about(letter: DeadLetter, topic: Topic, since_ms: int | None, now_ms: int) -> str | None:
    """None when giving it back can lead to no second payment and no second answer. `since_ms`: since when the id that
    it is to be answered under may have an answer; None for an id that nobody has used.
    """
    if topic.name == CALLS.name:  # rows replace themselves
        return None
    if topic.name in _LANES and letter.reason != "unreadable":  # which is found out before anybody is asked
        return "it cannot be told whether a provider was asked, and paid, before it failed"
    if since_ms is None or now_ms - since_ms <= REMEMBERED_MS:
        return None
    hours, known = (now_ms - since_ms) // _HOUR_MS, REMEMBERED_MS // _HOUR_MS
    return f"its id may have been answered {hours} h ago, and is remembered for {known} h: it could be answered twice"

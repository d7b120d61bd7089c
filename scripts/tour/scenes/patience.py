"""What is over a limit may wait instead of being refused."""

import time
from collections.abc import Iterator

import orjson

from scripts.tour.guide import Guide
from scripts.tour.scene import Scene, expect

_TENANT = "tour-patient"
_AT_ONCE = 4
_SOON_MS = 3_000


def _deferral(guide: Guide) -> Iterator[str]:
    ids = [each for number in range(_AT_ONCE) for each in guide.ask(f"Page {number}", tenant_id=_TENANT, model="fast")]
    deadline_ms = time.time_ns() // 1_000_000 + _SOON_MS
    (late,) = guide.ask("Page 5, at once", tenant_id=_TENANT, model="fast", deadline_ms=deadline_ms)
    yield f"{_TENANT} may ask every two seconds, and asked {_AT_ONCE + 1} times at once: nothing is refused"
    (line,) = orjson.loads(guide.millrace("accounts", "waiting", "--json"))["waiting"] or [None]
    if line is not None:  # the command takes its time to start
        yield f"`millrace accounts waiting`: {line['requests']} wait, the last for {line['estimated_wait_ms']} ms"
    answers = guide.answers(ids)
    expect(all(each.status == "ok" for each in answers), f"the answers were {[each.status for each in answers]}")
    at_s = [(each.answered_at_ms - answers[0].answered_at_ms) / 1_000 for each in answers]
    expect(at_s == sorted(at_s), "they were answered in another order")
    yield "all were answered, in their order, after " + ", ".join(f"{each:.1f} s" for each in at_s)
    (expired,) = guide.answers([late])
    expect(expired.status == "expired", f"the last one was {expired.status}")
    yield f"the last one had {_SOON_MS // 1_000} s, behind the others: it was told `expired`, and cost nothing"


DEFERRAL = Scene("deferral", "What is over a limit waits its turn instead of being refused", _deferral)

"""Many who ask the same, and who have no time."""

import time
from collections import Counter
from collections.abc import Iterator

from scripts.tour.guide import Guide
from scripts.tour.scene import Scene, expect

_TOGETHER = 200


def _coalesced(guide: Guide) -> Iterator[str]:
    before = guide.paid_calls()
    answers = guide.answers(
        guide.ask(f"What is asked by everybody at {time.time_ns()}?", times=_TOGETHER, model="fast")
    )
    paid = guide.paid_calls() - before
    contents = {each.output.content for each in answers if each.output is not None}
    expect(paid == 1, f"{paid} calls were paid for")
    expect(len(contents) == 1, f"there were {len(contents)} different answers")
    kinds = Counter(each.cache for each in answers)
    shown = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    yield f"{len(answers)} requests asked the same at once; the provider was asked, and paid, once ({shown})"
    saved = sum(each.saved_usd for each in answers if each.saved_usd is not None)
    yield f"what the others would have cost is on their responses: {saved:f} USD saved"


def _expiry(guide: Guide) -> Iterator[str]:
    deadline_ms = time.time_ns() // 1_000_000 + 1_500
    answer = guide.answer(
        "[[fault:hang]] Take your time.", model="fast", deadline_ms=deadline_ms, cache="off", priority="high"
    )
    expect(answer.status == "expired", f"the answer was {answer.status}")
    late_ms = answer.answered_at_ms - deadline_ms
    yield f"the provider kept silent, and the deadline passed: `expired` was told {late_ms} ms after it"


COALESCED = Scene("coalesced", f"{_TOGETHER} ask the same at the same time, and one call is paid for", _coalesced)
EXPIRY = Scene("expiry", "A request that cannot be answered in time says so when its time is up", _expiry)

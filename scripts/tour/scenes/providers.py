"""A provider that fails: the next one answers, and one that goes on failing is left alone until it is well."""

from collections.abc import Iterator

from schemas.control import Breaker
from scripts.tour.guide import Guide
from scripts.tour.scene import Scene, expect

_SHAKY = "openai-shaky"
_SHAKY_MODEL = "gpt-4.1-mini"
_CALLS = 15
"""More than a breaker wants to have seen."""


def _fallback(guide: Guide) -> Iterator[str]:
    answer = guide.answer("[[fault:503 provider=openai]] Say hello.", model="fast")
    expect(answer.status == "ok", f"the answer was {answer.status}")
    expect(answer.deployment == "anthropic-main", f"{answer.deployment} answered")
    yield f"openai-main said 503; {answer.deployment} answered with {answer.model} at attempt {answer.attempts}"
    yield "both attempts are rows of the same request, so that the failed one is in no one's blind spot"


def _breaker(guide: Guide) -> Iterator[str]:
    guide.upset(_SHAKY_MODEL, {"kind": "503", "rate": 1})
    ids = [each for number in range(_CALLS) for each in guide.ask(f"Question {number}", model="shaky")]
    breaker = guide.until("an open breaker", lambda: _in_state(guide, "open"))
    yield f"{breaker.failure_share:.0%} of {breaker.calls} calls to {_SHAKY} failed: its breaker is open for the fleet"
    answered = guide.answers(ids)
    expect(all(each.status == "ok" for each in answered), "not all requests were answered")
    while_open = guide.answer("While it is open", model="shaky")
    expect(while_open.deployment != _SHAKY, f"{_SHAKY} was asked all the same")
    yield f"all {len(ids)} requests were answered by the fallback, and a new one goes there at once"
    guide.upset(_SHAKY_MODEL)
    asked = 0

    def recovered() -> bool:
        nonlocal asked
        asked += 1
        return guide.answer(f"Are you well? {asked}", model="shaky").deployment == _SHAKY

    guide.until("a probe that is answered", recovered)
    guide.until("a closed breaker", lambda: _in_state(guide, "closed"))
    yield f"well again, it answered a single probe: the breaker is closed, and {_SHAKY} has its share back"


def _in_state(guide: Guide, state: str) -> Breaker | None:
    breaker = guide.control().breakers.get(_SHAKY)
    return breaker if breaker is not None and breaker.state == state else None


FALLBACK = Scene("fallback", "A provider fails, and another one answers", _fallback)
BREAKER = Scene("breaker", "A provider that goes on failing is left alone, by all workers at once", _breaker)

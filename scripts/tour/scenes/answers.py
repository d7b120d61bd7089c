"""What becomes of an answer: a model that is not good enough, and JSON that is none."""

import time
from collections.abc import Iterator
from typing import Any

from scripts.tour.guide import Guide
from scripts.tour.scene import Scene, expect

_CHEAP, _BETTER = "gpt-4o-mini", "claude-haiku-4-5"
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "inhabitants": {"type": "integer"}},
    "required": ["city", "inhabitants"],
    "additionalProperties": False,
}


def _cascade(guide: Guide) -> Iterator[str]:
    question = f"[[answer_of:{_CHEAP} Well.]] [[answer_of:{_BETTER} A mill race leads water to the wheel.]] What is it?"
    answer = guide.answer(f"{question} {time.time_ns()}", model="careful")
    said = "" if answer.output is None else answer.output.content or ""
    expect(answer.round == 1 and "water" in said, f"round {answer.round} answered: {said!r}")
    yield f"{_CHEAP} said “Well.”, which is no answer on this route; {_BETTER} was asked next: “{said.strip()}”"
    rows = guide.until("the rows of both calls", lambda: _priced(guide, answer.request_id))
    yield "both are rows of the same request: " + ", ".join(
        f"round {n} {model} {cost:f} USD" for n, model, cost in rows
    )
    expect(answer.cost_usd == sum(cost for *_, cost in rows), "the response says another sum")


def _priced(guide: Guide, request_id: str) -> list[tuple[int, str, Any]]:
    statement = """
    SELECT round, model, cost_usd FROM {database:Identifier}.calls
    WHERE request_id = {request_id:String} AND phase = 'priced' ORDER BY round
    """
    rows = [(int(n), str(model), cost) for n, model, cost in guide.rows(statement, request_id=request_id)]
    return rows if len(rows) == 2 else []  # noqa: PLR2004  # both


def _repaired(guide: Guide) -> Iterator[str]:
    broken = "Here you are: {'city': 'Łódź', 'inhabitants': 652015,}"
    form = {"type": "json_schema", "json_schema": {"name": "city", "schema": _SCHEMA}}
    answer = guide.answer(f"[[answer:{broken}]] {time.time_ns()}", model="careful", params={"response_format": form})
    parsed = None if answer.output is None else answer.output.parsed
    expect(answer.status == "ok" and parsed is not None, f"the answer was {answer.status}, {answer.error}")
    expect("structure" in answer.steps, f"the steps were {answer.steps}")
    yield f"the model said: {broken}"
    yield f"that is no JSON; it was mended here, and keeps to the schema: {parsed} ({answer.attempts} call)"


CASCADE = Scene(
    "cascade", "A cheap model is asked first, and a better one when the answer is not good enough", _cascade
)
REPAIRED = Scene("repair", "An answer that is almost JSON is mended instead of being asked for again", _repaired)

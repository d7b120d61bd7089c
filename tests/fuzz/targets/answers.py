"""What a model answered, on its way through every step, with a schema of whoever asked."""

from contextlib import suppress

from msgspec.structs import replace

from schemas.base import dump_json, load_json
from schemas.flow import Completion
from schemas.postprocess import AnswerRules
from schemas.response import Output, Response
from streams.answers.pipeline import process
from streams.answers.repair import Unmendable, mended
from streams.answers.step import Draft
from streams.stages.postprocess import respond
from tests.fuzz.target import Target, joined, parts_of
from tests.unit.examples import NOW_MS, answer, completion

RULES = (
    AnswerRules(strip="fences", refusal="mark", truncation="mark", structure="repair", otherwise="answer"),
    AnswerRules(strip="markup", refusal="require", structure="check", min_chars=3, min_confidence=0.5),
)


def _look(data: bytes) -> None:
    """Whatever was made of it can be written, and read by whoever reads responses."""
    said, schema, *_ = (part.decode(errors="replace") for part in parts_of(data, 2))
    for rules in RULES:
        draft = Draft(answer(said), rules, wants_json=True, json_schema=schema or None)
        seen = process(draft, lambda: 0)
        event: Completion = replace(completion(answer=seen.answer), parse_json=True)
        response = respond(event, [], NOW_MS, seen.steps)
        assert Response.decode(response.encode()).output == response.output
    seen = process(Draft(answer(None, output=Output(refusal=said)), RULES[0], wants_json=True), lambda: 0)
    assert seen.steps["refusal"] == "declined"


def _mend(data: bytes) -> None:
    """What is mended once is right, and stays as it is."""
    with suppress(Unmendable):
        value = mended(data.decode(errors="replace"))
        assert mended(dump_json(value).decode()) == value == load_json(dump_json(value))


SEEDS = (
    b'```json\n{"crop": "leek", "confidence": 0.4,}\n```',
    b"{'a': [1, 2.5e3, True, None], /* c */ b: \"x\\u00e9\\n\"",
    "I’m sorry, but I can’t. [[".encode(),
    b"# *a* **b** __c__ `d` [e](f)\n---\n> g",
)
SCHEMA = b'{"type": "object", "required": ["crop"], "properties": {"crop": {"pattern": "^[a-z]+$"}}}'

TARGETS = (
    Target("answer", "a model's answer and a requester's schema", _look, tuple(joined(seed, SCHEMA) for seed in SEEDS)),
    Target("mended_json", "a model's answer, taken for JSON", _mend, SEEDS),
)

"""Each step does what its name says and nothing else; the first that finds an answer wanting is the last."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from schemas.base import dump_json
from schemas.control import Route, RouteTarget
from schemas.postprocess import AnswerRules, Confidence, PostProcess
from schemas.response import FinishReason, FunctionCall, Output, ToolCall
from streams.answers.pipeline import Processed, process
from streams.answers.rules import rules_for, together
from streams.answers.step import Draft
from streams.answers.strip import plain, unfenced
from tests.unit.examples import answer, control, route, tenant

SCHEMA = dump_json(
    {
        "type": "object",
        "properties": {"crop": {"type": "string"}, "crates": {"type": "integer"}},
        "required": ["crop"],
        "additionalProperties": False,
    }
).decode()
CALLED = (ToolCall(id="c-1", function=FunctionCall(name="weigh", arguments="{}")),)


def clock() -> Iterator[int]:
    return count(step=7)


def looked_at(content: str | None, *, json: bool = False, schema: str | None = None, **rules: Any) -> Processed:
    return seen(Output(content=content), json=json, schema=schema, **rules)


def seen(
    output: Output, *, json: bool = False, schema: str | None = None, reason: FinishReason = "stop", **rules: Any
) -> Processed:
    ticks = clock()
    draft = Draft(answer(None, output=output, finish_reason=reason), AnswerRules(**rules), json, schema)
    return process(draft, lambda: next(ticks))


def test_what_is_not_asked_for_is_neither_done_nor_timed() -> None:
    result = looked_at("```json\n{\n```", json=True)

    assert (result.answer.output.content, result.steps, result.step_us) == ("```json\n{\n```", {}, {})
    assert result.wanting is None


@pytest.mark.parametrize(
    ("text", "stripped"),
    [
        ('```json\n{"a": 1}\n```', '{"a": 1}'),
        ("\n ~~~\nyes\n~~~\n", "yes"),
        ("````\n```\ninner\n```\n````", "````\n```\ninner\n```\n````"),
        ("Here:\n```\nyes\n```", "Here:\n```\nyes\n```"),
        ("```\none\n```\n```\ntwo\n```", "```\none\n```\n```\ntwo\n```"),
        ("no fence", "no fence"),
        ("", ""),
        ("```", "```"),
    ],
)
def test_only_a_fence_around_the_whole_answer_is_taken_off(text: str, stripped: str) -> None:
    assert unfenced(text) == stripped


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# Crops\n\n**Ripe** and *red*.\n", "Crops\n\nRipe and red."),
        ("> quoted\n---\n`code` and [a link](https://example.org)", "quoted\ncode and a link"),
        ("- one\n- two", "- one\n- two"),
        ("2 * 3 * 4 and snake_case_name", "2 * 3 * 4 and snake_case_name"),
        ("~~old~~ __new__", "old new"),
        ("Call __init__ of __main__, or `__new__`", "Call __init__ of __main__, or __new__"),
        ("a__b__c and __snake_case__ and __important words__", "a__b__c and __snake_case__ and important words"),
        ("2**3 and 4**5, f(*args, **kwargs), g(*args)", "2**3 and 4**5, f(*args, **kwargs), g(*args)"),
        ("**use `a*b*c`** and `**kw`", "use a*b*c and **kw"),
        (
            "So:\n```python\n# set up\ndef __init__(self): ...\n```\n# Done",
            "So:\n# set up\ndef __init__(self): ...\nDone",
        ),
        ("~~~\n```\n**a**\n~~~", "```\n**a**"),
        ("这是**粗体**文字", "这是粗体文字"),
        ("`a` \x00 **b**", "`a` \x00 b"),
    ],
)
def test_markup_goes_and_its_text_stays(text: str, said: str) -> None:
    assert plain(text) == said


@pytest.mark.parametrize("hostile", ["*" * 50_000, "[" * 50_000, "`" * 49_999, "**a" * 20_000, "~~ " * 20_000])
@pytest.mark.timeout(5)
def test_no_text_takes_long_to_strip(hostile: str) -> None:
    plain(hostile)
    unfenced(f"```\n{' ' * 50_000}{hostile}")


def test_marks_inside_json_are_left_alone() -> None:
    result = looked_at('```\n{"a": "**b**"}\n```', json=True, strip="markup")

    assert result.answer.output.content == '{"a": "**b**"}'
    assert result.steps == {"strip": "unfenced"}


@pytest.mark.parametrize(
    ("output", "reason", "note"),
    [
        (Output(refusal="No."), "refusal", "declined"),
        (Output(content="x"), "content_filter", "declined"),
        (Output(content="I’m sorry, but I can’t help with that."), "stop", "sounds_declined"),
        (Output(content="As an AI language model, I cannot say."), "stop", "sounds_declined"),
    ],
)
def test_a_model_that_declines_is_noticed(output: Output, reason: FinishReason, note: str) -> None:
    marked = seen(output, reason=reason, refusal="mark")
    assert (marked.steps, marked.wanting) == ({"refusal": note}, None)

    wanting = seen(output, reason=reason, refusal="require").wanting
    assert wanting is not None
    assert (wanting.note, wanting.is_mendable) == (note, False)


@pytest.mark.parametrize(
    "content",
    ["Sorry for the delay: they are ripe. I cannot help with more.", "Unfortunately, they rotted.", "I can help."],
)
def test_an_answer_that_regrets_is_no_refusal(content: str) -> None:
    assert looked_at(content, refusal="require").wanting is None


def test_words_in_front_of_a_tools_call_are_no_refusal() -> None:
    assert seen(Output(content="I'm sorry, I can't yet.", tool_calls=CALLED), refusal="require").wanting is None


def test_an_answer_that_was_cut_off_is_noticed() -> None:
    assert seen(Output(content="Half a"), reason="length", truncation="mark").steps == {"truncation": "cut_off"}
    wanting = seen(Output(content="Half a"), reason="length", truncation="require").wanting
    assert wanting is not None
    assert "max_tokens" in wanting.problem
    assert looked_at("Whole.", truncation="require").wanting is None


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ('{"crop": "leek"}', None),
        ('{"crop": "leek",}', "repaired"),
        ('```json\n{"crop": "leek"}\n```', "repaired"),
        ("{'crop': 'leek'}", "repaired"),
        ('{"crop": "lee', "repaired"),
    ],
)
def test_json_that_is_nearly_right_is_mended_and_says_so(content: str, note: str | None) -> None:
    result = looked_at(content, json=True, schema=SCHEMA, structure="repair")

    assert result.wanting is None
    assert result.steps == ({} if note is None else {"structure": note})
    assert set(result.step_us) == {"structure"}


def test_what_was_mended_is_written_anew() -> None:
    result = looked_at("{'crop': 'leek', 'crates': 3,}", json=True, schema=SCHEMA, structure="repair")

    assert result.answer.output.content == '{"crop":"leek","crates":3}'


@pytest.mark.parametrize(
    ("content", "note", "problem"),
    [
        ("three crates of leek", "no_json", "not JSON"),
        ("{'crop': 'leek'}", "no_json", "not JSON"),
        ('{"crates": "many"}', "other_schema", 'crates: the value is not of type "integer"'),
        ('{"crates": 1}', "other_schema", '"crop" is a required property'),
        (None, "no_json", "not JSON"),
    ],
)
def test_what_is_wrong_with_json_is_said_without_quoting_it(content: str | None, note: str, problem: str) -> None:
    wanting = looked_at(content, json=True, schema=SCHEMA, structure="check").wanting

    assert wanting is not None
    assert (wanting.note, wanting.is_mendable) == (note, True)
    assert problem in wanting.problem
    assert "many" not in wanting.problem


def test_not_every_problem_is_told() -> None:
    wanting = looked_at(
        dump_json({f"k{number}": 1 for number in range(1_000)}).decode(),
        json=True,
        schema='{"additionalProperties": {"type": "string"}}',
        structure="check",
    ).wanting

    assert wanting is not None
    assert wanting.problem.count(";") == 4
    assert len(wanting.problem) < 1_200


@pytest.mark.parametrize(
    "schema",
    [
        '{"type": "nothing"}',
        '{"pattern": "(?=a)"}',
        '{"$ref": "https://example.org/schema.json"}',
        '{"$ref": "file:///etc/hostname"}',
        '{"$ref": "#/$defs/gone"}',
        "[]",
        '{"type"1}',
    ],
)
def test_a_schema_that_cannot_be_checked_condemns_no_answer_and_fetches_nothing(schema: str) -> None:
    result = looked_at('{"crop": 1}', json=True, schema=schema, structure="check")

    assert (result.steps, result.wanting) == ({"structure": "unchecked"}, None)


@pytest.mark.timeout(5)
def test_a_schemas_pattern_takes_no_longer_than_its_text() -> None:
    schema = '{"properties": {"a": {"pattern": "^(a+)+$"}}}'
    content = dump_json({"a": "a" * 100_000 + "!"}).decode()

    assert looked_at(content, json=True, schema=schema, structure="check").wanting is not None


def test_json_without_a_schema_must_be_an_object() -> None:
    assert looked_at("3", json=True, structure="check").steps == {"structure": "no_object"}
    assert looked_at("{}", json=True, structure="check").wanting is None


def test_a_call_of_a_tool_is_an_answer_of_whatever_shape_and_length() -> None:
    output = Output(tool_calls=CALLED)

    result = seen(output, json=True, structure="check", min_chars=10, min_confidence=0.9)

    assert result.wanting is None
    assert set(result.step_us) == {"structure", "length", "confidence"}


def test_white_space_makes_no_answer_longer() -> None:
    wanting = looked_at("  Yes.   ", min_chars=5).wanting
    assert wanting is not None
    assert wanting.problem == "the answer has 4 characters, and must have 5"
    assert looked_at("Yes. ", min_chars=4).wanting is None


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ('{"sure": {"score": 0.9}}', None),
        ('{"sure": {"score": 0.7}}', None),
        ('{"sure": {"score": 0.69}}', "unsure"),
        ('{"sure": {"score": true}}', "unsaid"),
        ('{"sure": 0.9}', "unsaid"),
        ("[0.9]", "unsaid"),
        ("Quite sure.", "unsaid"),
    ],
)
def test_an_answer_must_be_as_sure_as_is_asked(content: str, note: str | None) -> None:
    wanting = looked_at(content, json=True, confidence_field="sure.score", min_confidence=0.7).wanting

    assert (None if wanting is None else wanting.note) == note


def test_a_text_is_not_asked_how_sure_it_is() -> None:
    assert looked_at("Paris.", confidence_field="sure", min_confidence=0.7).wanting is None


def test_the_first_step_that_finds_the_answer_wanting_is_the_last() -> None:
    result = looked_at("I cannot help with that.", refusal="require", truncation="require", min_chars=99)

    assert result.steps == {"refusal": "sounds_declined"}
    assert result.step_us == {"refusal": 7}


def test_what_a_route_says_wins_over_what_its_tenant_says() -> None:
    said = PostProcess(strip="fences", refusal="mark", confidence=Confidence(at_least=0.5))
    own = route(postprocess=PostProcess(refusal="off", min_chars=3))

    rules = together(said, own)

    assert rules == AnswerRules(strip="fences", min_chars=3, min_confidence=0.5)


def test_where_nobody_says_anything_there_are_no_rules() -> None:
    assert rules_for(control(), "acme", route()) is None
    assert rules_for(control(), None, route()) is None
    switched_off = route(postprocess=PostProcess(strip="off"))
    assert rules_for(control(tenant(postprocess=PostProcess(strip="fences"))), "acme", switched_off) is None


def test_a_changed_tenant_is_obeyed_at_once() -> None:
    before = control()
    assert rules_for(before, "acme", route()) is None
    after = control(tenant(postprocess=PostProcess(refusal="mark")))

    assert rules_for(after, "acme", route()) == AnswerRules(refusal="mark")


def test_a_cascade_without_a_second_target_is_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match="cascade needs a second of targets"):
        Route(name="x", targets=(RouteTarget(deployment="a"),), cascade=True)

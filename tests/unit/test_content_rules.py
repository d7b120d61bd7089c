"""What a tenant or a route forbids is not let in, and not let out."""

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.content import ContentRule, Redaction
from schemas.control import AnyControl
from schemas.flow import Accepted, Refused
from schemas.response import FunctionCall, Output, ToolCall
from streams.content.guard import Guard, guard_of
from streams.content.matcher import Matcher
from streams.control import ControlView
from streams.runtime.stage import Stateless
from streams.stages import validate
from tests.unit.examples import control, delivery, forwarded, request_json, route, tenant, ticket, view

pytestmark = pytest.mark.filterwarnings("ignore:open_binary is deprecated:DeprecationWarning")


def rule(name: str = "no-recipes", **changes: Any) -> ContentRule:
    facts: dict[str, Any] = {"words": ("thyme", "größe", "old bay"), **changes}
    return ContentRule(name=name, **facts)


def judged(*objects: AnyControl, content: str = "Is it ripe?", **fields: Any) -> Accepted | Refused:
    value = request_json(messages=[{"role": "user", "content": content}], **fields)
    outcome = validate.decide(delivery(value), view(Stateless(), control=control(*objects), delivery=delivery(value)))
    (record,) = forwarded(outcome)
    assert isinstance(record.event, Accepted | Refused)
    return record.event


def guard(*rules: ContentRule, redaction: Redaction | None = None) -> Guard:
    found = guard_of(control(tenant(content_rules=rules, redaction=redaction)), ticket())
    assert found is not None
    return found


@pytest.mark.parametrize("content", ["Thyme?", "more THYME, please", "die GRÖSSE und Größe", "with Old Bay.", "thyme"])
def test_a_prompt_with_a_forbidden_word_is_refused_by_the_rules_name_and_not_the_word(content: str) -> None:
    event = judged(tenant(content_rules=(rule(),)), content=content)
    assert isinstance(event, Refused)
    assert (event.failure.code, event.failure.field, event.failure.retryable) == ("content_blocked", "messages", False)
    assert "'no-recipes'" in event.failure.message
    assert content not in event.failure.message


@pytest.mark.parametrize("content", ["thymely", "enthyme", "ögröße", "older bay", "thyme_1"])
def test_a_word_inside_another_is_not_forbidden(content: str) -> None:
    assert isinstance(judged(tenant(content_rules=(rule(),)), content=content), Accepted)


def test_a_pattern_is_forbidden_wherever_something_is_said() -> None:
    forbidding = tenant(content_rules=(rule(words=(), patterns=(r"PRJ-\d{4}",)),))
    tools = [{"type": "function", "function": {"name": "f", "description": "about PRJ-1234"}}]
    assert isinstance(judged(forbidding, content="PRJ-12345"), Refused)
    assert isinstance(judged(forbidding, params={"tools": tools}), Refused)
    assert isinstance(judged(forbidding, content="prj-1234"), Accepted)


def test_a_prompt_longer_than_allowed_is_refused() -> None:
    short = tenant(content_rules=(rule(words=(), max_chars=10),))
    assert isinstance(judged(short, content="x" * 11), Refused)
    assert isinstance(judged(short, content="x" * 10), Accepted)


def test_a_routes_rules_are_kept_beside_the_tenants() -> None:
    strict = route("default", content_rules=(rule("of-the-route", words=("basil",)),))
    both = (tenant(content_rules=(rule(),)), strict)
    assert isinstance(judged(*both, content="thyme"), Refused)
    refused = judged(*both, content="basil")
    assert isinstance(refused, Refused)
    assert "'of-the-route'" in refused.failure.message


def test_a_rule_for_answers_lets_every_prompt_in_and_the_other_way_round() -> None:
    assert isinstance(judged(tenant(content_rules=(rule(on="answer"),)), content="thyme"), Accepted)
    assert guard(rule(on="prompt")).let_out(Output(content="thyme")).blocked is None


def test_an_answer_with_a_forbidden_word_is_held_back_whole() -> None:
    let_out = guard(rule()).let_out(Output(content="The secret is thyme."))
    assert let_out.blocked is not None
    assert let_out.blocked.code == "content_blocked"
    assert "'no-recipes'" in let_out.blocked.message
    assert (let_out.output, let_out.notes) == (Output(), {"content_rules": "blocked: no-recipes"})


def test_where_it_is_to_be_masked_the_rest_is_given() -> None:
    masking = guard(
        rule(on="answer", action="mask"), rule("codes", words=(), patterns=("PRJ-[0-9]+",), on="answer", action="mask")
    )
    call = ToolCall(id="1", function=FunctionCall(name="thyme", arguments='{"of": "thyme"}'))
    let_out = masking.let_out(Output(content="Thyme thyme, PRJ-12 thymely", tool_calls=(call,)))
    assert let_out.output.content == "[REMOVED] [REMOVED], [REMOVED] thymely"
    assert let_out.output.tool_calls[0].function == FunctionCall(name="thyme", arguments='{"of":"[REMOVED]"}')
    assert let_out.blocked is None


def test_personal_data_in_an_answer_is_masked_where_that_is_asked_for() -> None:
    both = guard(redaction=Redaction(entities=("email", "secret"), of="both"))
    let_out = both.let_out(Output(content="Ask ada@x.org with AKIAIOSFODNN7EXAMPLE"))
    assert (let_out.output.content, let_out.notes) == ("Ask [EMAIL] with [SECRET]", {"redaction": "masked"})
    assert guard(redaction=Redaction(entities=("email",))).let_out(Output(content="a@b.cc")).output.content == "a@b.cc"


def test_an_answer_that_keeps_all_rules_is_the_same_answer() -> None:
    kept = Output(content="Yes.", parsed=None)
    let_out = guard(rule(), redaction=Redaction(entities=("email",), of="both")).let_out(kept)
    assert (let_out.output, let_out.notes, let_out.blocked) == (kept, {}, None)


def test_who_says_nothing_about_texts_costs_nothing() -> None:
    assert guard_of(control(), ticket()) is None
    others = control(tenant("globex", content_rules=(rule(),)))
    assert guard_of(others, ticket()) is None
    assert guard_of(others, ticket()) is None
    assert others.guards == {("acme", "default"): None}
    assert not ControlView().guards_texts


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"words": ()}, "forbids nothing"),
        ({"patterns": ("(",)}, "RE2's syntax"),
        ({"patterns": ("x*",)}, "takes none at all"),
        ({"patterns": ("secret|",)}, "takes none at all"),
        ({"patterns": (r"(a)\1",)}, "look-around and back-references are not"),
        ({"action": "mask"}, "only answers are masked"),
        ({"action": "mask", "on": "answer", "max_chars": 5}, "make it a rule of its own"),
    ],
)
def test_a_rule_that_cannot_be_kept_is_refused_with_what_to_do(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        rule(**fields)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("pattern", ["x*", r"\b", r"(?:key: \w+)?", "secret|", "$", "^"])
def test_a_pattern_that_may_match_nothing_comes_to_an_end(pattern: str) -> None:
    assert list(Matcher(pattern).all("hello é 42".encode())) == []

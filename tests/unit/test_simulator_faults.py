"""Faults strike as planned or commanded, the same in every run."""

import pytest
from pydantic import ValidationError

from scripts.simulator.ask import Ask, Refusal
from scripts.simulator.faults import (
    KINDS,
    Cut,
    Fault,
    Faults,
    Hang,
    Late,
    Malformed,
    Plan,
    Refuse,
    Rule,
    Slow,
    fault,
    kind_of,
)
from scripts.simulator.openai_request import read
from scripts.simulator.prices import Catalog

CATALOG = Catalog.load()


def asked(prompt: str, model: str = "gpt-4o") -> Ask:
    ask = read(CATALOG, "/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": prompt}]})
    assert not isinstance(ask, Refusal), ask
    return ask


def strikes(prompt: str, times: int, *, model: str = "gpt-4o") -> list[Fault | None]:
    faults = Faults(7, Plan())
    return [faults.strike(asked(prompt, model)) for _ in range(times)]


def test_a_prompt_without_a_command_meets_no_fault() -> None:
    assert strikes("hello [[tokens:5]]", 2) == [None, None]


def test_a_command_strikes_as_often_as_it_says_and_then_lets_the_request_through() -> None:
    assert strikes("hello [[fault:429 times=2 retry_after=3]]", 4) == [Refuse("429", 3), Refuse("429", 3), None, None]


def test_a_command_without_times_strikes_always() -> None:
    assert strikes("[[fault:hang]]", 3) == [Hang(), Hang(), Hang()]


def test_several_commands_take_their_turns() -> None:
    prompt = "[[fault:429 times=1]] [[fault:cut times=2 after=3]] [[fault:late times=1]]"
    assert strikes(prompt, 5) == [Refuse("429", 1), Cut(3), Cut(3), Late(), None]


def test_repetitions_are_counted_for_each_request_on_its_own() -> None:
    faults = Faults(7, Plan())
    first, second = asked("one [[fault:500 times=1]]"), asked("two [[fault:500 times=1]]")
    assert faults.strike(first) == faults.strike(second) == Refuse("500")
    assert faults.strike(first) is faults.strike(second) is None


def test_forgetting_makes_every_request_new_again() -> None:
    faults = Faults(7, Plan())
    ask = asked("[[fault:500 times=1]]")
    assert [faults.strike(ask), faults.strike(ask)] == [Refuse("500"), None]
    faults.forget()
    assert faults.strike(ask) == Refuse("500")


def test_a_command_can_be_meant_for_one_model_or_provider() -> None:
    assert strikes("[[fault:503 model=gpt-4o]]", 1) == [Refuse("503")]
    assert strikes("[[fault:503 model=gpt-4o]]", 1, model="gpt-4o-mini") == [None]
    assert strikes("[[fault:503 provider=anthropic]]", 1) == [None]


def test_only_the_last_user_message_commands() -> None:
    body = {
        "model": "gpt-4o",
        "messages": [
            {"role": "user", "content": "[[fault:500]]"},
            {"role": "assistant", "content": "[[fault:503]]"},
            {"role": "user", "content": "hello"},
        ],
    }
    ask = read(CATALOG, "/v1/chat/completions", dict(body))
    assert isinstance(ask, Ask)
    assert Faults(7, Plan()).strike(ask) is None


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("[[fault:flood]]", "fault 'flood'"),
        ("[[fault:]]", "fault ''"),
        ("[[fault:429 often=2]]", "not often"),
        ("[[fault:429 times=twice]]", "times=twice"),
    ],
)
def test_a_command_that_cannot_be_read_says_why(command: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        strikes(command, 1)


@pytest.mark.parametrize("kind", KINDS.values())
def test_every_kind_makes_a_fault_of_its_kind(kind: str) -> None:
    assert kind_of(fault(KINDS[kind])) == kind


def test_planned_faults_come_at_their_rates_and_in_the_same_places_every_time() -> None:
    plan = Plan(rules=(Rule(kind="429", rate=0.2, retry_after_s=2), Rule(kind="slow", rate=0.1, delay_s=3)))

    def run() -> list[Fault | None]:
        faults = Faults(7, plan)
        return [faults.strike(asked(f"question {n}")) for n in range(1_000)]

    struck = run()
    assert struck == run()
    assert struck.count(Refuse("429", 2)) == pytest.approx(200, abs=40)
    assert struck.count(Slow(3)) == pytest.approx(100, abs=30)
    assert struck.count(None) == pytest.approx(700, abs=50)


def test_a_retry_of_a_planned_fault_is_drawn_anew() -> None:
    faults = Faults(7, Plan(rules=(Rule(kind="500", rate=0.5),)))
    ask = asked("the same question")
    assert {faults.strike(ask) for _ in range(20)} == {Refuse("500"), None}


def test_a_rule_for_one_model_leaves_the_others_alone() -> None:
    faults = Faults(7, Plan(rules=(Rule(kind="malformed", rate=1, model="gpt-4o"),)))
    assert faults.strike(asked("hello")) == Malformed()
    assert faults.strike(asked("hello", "gpt-4o-mini")) is None


def test_the_rules_of_one_model_can_be_replaced() -> None:
    plan = Plan(rules=(Rule(kind="500", rate=0.5), Rule(kind="hang", rate=0.1, model="gpt-4o")))
    changed = plan.with_model("gpt-4o", (Rule(kind="cut", rate=0.2),))
    assert changed.rules == (Rule(kind="500", rate=0.5), Rule(kind="cut", rate=0.2, model="gpt-4o"))


def test_rates_above_one_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"add up to 1\.2"):
        Plan(rules=(Rule(kind="500", rate=0.7), Rule(kind="503", rate=0.5, model="gpt-4o")))

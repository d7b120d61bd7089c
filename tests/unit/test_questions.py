"""Equal questions of one tenant share a key; nothing else does, and two tenants never."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.flow import Ticket
from schemas.prompt import FunctionDefinition, Params, Prompt, SystemMessage, TextPart, Tool, UserMessage
from schemas.request import Request
from streams.questions import carried, chosen_namespace, entry_of, namespace_of
from tests.fakes.prompts import prompts
from tests.unit.examples import request_json, ticket

ASKED = (UserMessage(role="user", content="Is it ripe?"),)
SYSTEM = SystemMessage(role="system", content="You know fruit.")
PLAIN = Prompt(messages=ASKED)
TENANTS = ("acme", "globex", "acme.eu", "a", "A")


def keys(prompt: Prompt = PLAIN, tenant_id: str = "acme", **changes: Any) -> tuple[str, str]:
    namespace = namespace_of(tenant_id, ticket(tenant_id=tenant_id, **changes), prompt)
    return namespace, entry_of(namespace, prompt)


def framed(**params: Any) -> Prompt:
    return Prompt(messages=ASKED, params=Params(**params))


@pytest.mark.parametrize(
    "changes",
    [
        {"request_id": "r-2"},
        {"user_id": "ada"},
        {"session_id": "s-1"},
        {"labels": {"feature": "search"}},
        {"priority": "high"},
        {"stream": True},
        {"deadline_ms": 1},
        {"cache": "refresh"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_who_asks_and_how_urgently_is_not_part_of_the_question(changes: dict[str, Any]) -> None:
    assert keys(**changes) == keys()


DIFFERENT_FRAMES = {
    "the plain question": keys(),
    "another model": keys(model="gpt-5"),
    "a task": keys(task="search"),
    "a system prompt": keys(Prompt(messages=(SYSTEM, *ASKED))),
    "the system prompt as the developer's": keys(
        Prompt(messages=(SystemMessage(role="developer", content="You know fruit."), *ASKED))
    ),
    "a temperature": keys(framed(temperature=0.5)),
    "temperature zero": keys(framed(temperature=0)),
    "a bound on the answer": keys(framed(max_tokens=10)),
    "a seed": keys(framed(seed=0)),
    "a stop": keys(framed(stop=("END",))),
    "json": keys(framed(response_format={"type": "json_object"})),
    "a tool": keys(framed(tools=(Tool(function=FunctionDefinition(name="f")),))),
    "another tool": keys(framed(tools=(Tool(function=FunctionDefinition(name="g")),))),
    "a choice of tool": keys(framed(tool_choice="required")),
}


def test_whatever_frames_a_question_makes_it_another_one_in_another_namespace() -> None:
    namespaces = {namespace for namespace, _ in DIFFERENT_FRAMES.values()}

    assert len(namespaces) == len(DIFFERENT_FRAMES)


@pytest.mark.parametrize(
    "messages",
    [
        (UserMessage(role="user", content="Is it ripe"),),
        (UserMessage(role="user", content="Is it ripe?", name="ada"),),
        (UserMessage(role="user", content=(TextPart(type="text", text="Is it ripe?"),)),),
        (*ASKED, *ASKED),
    ],
    ids=["a letter", "a name", "a part", "twice"],
)
def test_other_words_are_another_entry_in_the_same_namespace(messages: tuple[UserMessage, ...]) -> None:
    namespace, entry = keys(Prompt(messages=messages))

    assert namespace == keys()[0]
    assert entry != keys()[1]


def test_a_default_spelled_out_is_no_other_question() -> None:
    assert keys(framed(temperature=None, stop=(), tools=())) == keys()


@settings(deadline=None)
@given(prompt=prompts, one=st.sampled_from(TENANTS), other=st.sampled_from(TENANTS))
def test_two_tenants_never_share_a_key_whatever_they_ask(prompt: Prompt, one: str, other: str) -> None:
    mine, theirs = keys(prompt, one), keys(prompt, other)

    assert (mine == theirs) is (one == other)
    assert all(key.startswith(f"{one}/") for key in mine)
    assert mine[1].startswith(mine[0])


@settings(deadline=None)
@given(prompt=prompts)
def test_a_question_read_back_from_its_topic_has_the_same_keys(prompt: Prompt) -> None:
    again = Prompt.decode(prompt.encode())
    asked = Ticket.decode(ticket().encode())

    assert namespace_of("acme", asked, again) == keys(prompt)[0]
    assert entry_of("acme/x", again) == entry_of("acme/x", prompt)


def test_a_namespace_of_the_requesters_choice_keeps_the_same_question_apart_and_is_found_by_its_name() -> None:
    plain, first, second = (
        carried(ticket(), Request.decode(request_json(**({"cache_namespace": name} if name else {}))))[1]
        for name in (None, "faq-v1", "faq-v2")
    )

    assert len({plain.namespace, first.namespace, second.namespace}) == 3
    assert first.namespace.startswith(chosen_namespace("acme", "faq-v1"))
    assert first.entry.startswith(first.namespace)
    assert not plain.namespace.startswith(chosen_namespace("acme", plain.namespace.partition("/")[2]))

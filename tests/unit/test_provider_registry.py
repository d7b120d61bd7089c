"""Which client a deployment is asked through, and when it is let go."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import AnyHttpUrl, SecretStr

from schemas.control import Deployment
from schemas.prompt import Prompt, UserMessage
from streams.providers.protocol import Misconfigured, Provider, Question
from streams.providers.registry import Registry, Wiring
from tests.fakes.provider import FakeProvider

pytestmark = pytest.mark.asyncio

QUESTION = Question(
    "a-1", "m", Prompt(messages=(UserMessage(role="user", content="Hi."),)), stream=False, timeout_ms=5_000
)


class Vault:
    """Secrets that can be rotated."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self.secrets = dict(secrets)

    def secret(self, key_ref: str) -> SecretStr | None:
        value = self.secrets.get(key_ref)
        return None if value is None else SecretStr(value)


class Workshop:
    """Builds fakes, and remembers for which wiring."""

    def __init__(self) -> None:
        self.built: list[tuple[Wiring, FakeProvider]] = []

    def build(self, wiring: Wiring) -> Provider:
        provider = FakeProvider()
        self.built.append((wiring, provider))
        return provider

    @property
    def providers(self) -> list[FakeProvider]:
        return [provider for _, provider in self.built]


def deployment(name: str = "openai-1", **changes: object) -> Deployment:
    plain = Deployment(name=name, provider="openai", key_ref="openai_key", models={"gpt": "gpt-4o"})
    return plain.model_copy(update=changes)


def registry(workshop: Workshop, vault: Vault | None = None) -> Registry:
    return Registry(vault or Vault({"openai_key": "sk-1"}), workshop.build)


async def test_a_deployment_is_asked_through_one_client() -> None:
    workshop = Workshop()
    providers = registry(workshop)

    for _ in range(3):
        await providers.ask(deployment(), QUESTION)

    (provider,) = workshop.providers
    assert len(provider.asked) == 3
    assert workshop.built[0][0] == Wiring("openai", None, SecretStr("sk-1"))


async def test_another_deployment_has_a_client_of_its_own() -> None:
    workshop = Workshop()
    providers = registry(workshop)

    await providers.ask(deployment("one"), QUESTION)
    await providers.ask(deployment("two"), QUESTION)

    assert [len(provider.asked) for provider in workshop.providers] == [1, 1]


@pytest.mark.parametrize(
    "change",
    [{"base_url": AnyHttpUrl("http://127.0.0.1:9/v1")}, {"provider": "anthropic"}],
    ids=str,
)
async def test_a_deployment_that_moved_gets_a_new_client_and_the_old_one_is_closed(change: dict[str, Any]) -> None:
    workshop = Workshop()
    providers = registry(workshop)

    await providers.ask(deployment(), QUESTION)
    await providers.ask(deployment(**change), QUESTION)

    old, new = workshop.providers
    assert (old.closed, new.closed) == (True, False)


async def test_a_new_model_in_a_deployment_costs_no_connection() -> None:
    workshop = Workshop()
    providers = registry(workshop)

    await providers.ask(deployment(), QUESTION)
    await providers.ask(deployment(models={"gpt": "gpt-5"}, region="eu"), QUESTION)

    assert len(workshop.built) == 1


async def test_a_rotated_key_is_used_by_the_next_question() -> None:
    workshop, vault = Workshop(), Vault({"openai_key": "sk-1"})
    providers = registry(workshop, vault)

    await providers.ask(deployment(), QUESTION)
    vault.secrets["openai_key"] = "sk-2\n"
    await providers.ask(deployment(), QUESTION)

    assert [wiring.key.get_secret_value() for wiring, _ in workshop.built] == ["sk-1", "sk-2"]


async def test_a_replaced_client_is_closed_only_after_its_last_call() -> None:
    workshop = Workshop()
    providers = registry(workshop)
    await providers.ask(deployment(), QUESTION)
    (old,) = workshop.providers
    old.gate = asyncio.Event()
    late = asyncio.create_task(providers.ask(deployment(), QUESTION))
    await asyncio.wait_for(old.held.wait(), 5)

    await providers.ask(deployment(base_url=AnyHttpUrl("http://127.0.0.1:9/v1")), QUESTION)
    still_open = not old.closed
    old.gate.set()
    await late

    assert still_open
    assert old.closed


async def test_closing_waits_for_nobody_and_closes_all_in_the_end() -> None:
    workshop = Workshop()
    providers = registry(workshop)
    await providers.ask(deployment("one"), QUESTION)
    await providers.ask(deployment("two"), QUESTION)

    await providers.close()

    assert all(provider.closed for provider in workshop.providers)


async def test_a_deployment_that_was_removed_is_let_go() -> None:
    workshop = Workshop()
    providers = registry(workshop)
    await providers.ask(deployment("one"), QUESTION)
    await providers.ask(deployment("two"), QUESTION)

    await providers.keep({"two"})

    assert [provider.closed for provider in workshop.providers] == [True, False]


@pytest.mark.parametrize("secrets", [{}, {"openai_key": ""}, {"openai_key": " \n"}], ids=["none", "empty", "blank"])
async def test_a_missing_key_is_named_and_another_deployment_may_have_one(secrets: dict[str, str]) -> None:
    providers = registry(Workshop(), Vault(secrets))

    with pytest.raises(Misconfigured) as caught:
        await providers.ask(deployment(), QUESTION)

    assert caught.value.error_class == "authentication"
    assert caught.value.message == ("The secret `openai_key` of openai-1 is missing: give it to the invoke stage.")


async def test_a_key_no_header_can_carry_is_refused_without_being_shown() -> None:
    providers = registry(Workshop(), Vault({"openai_key": "sk-thymé"}))

    with pytest.raises(Misconfigured) as caught:
        await providers.ask(deployment(), QUESTION)

    assert "thym" not in caught.value.message

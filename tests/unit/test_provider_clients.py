"""What the SDKs' clients are told, and what they must not take from anywhere else."""

import logging

import anthropic
import openai
import pytest
from pydantic import SecretStr

from streams.providers.clients import anthropic_client, openai_client

KEY = SecretStr("sk-canary")


@pytest.fixture
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("empty_environment")
def test_the_addresses_are_the_sdks_own() -> None:
    assert openai.AsyncOpenAI(api_key="k").base_url == openai_client(None, KEY).base_url
    assert anthropic.AsyncAnthropic(api_key="k").base_url == anthropic_client(None, KEY).base_url


def test_the_environment_cannot_send_questions_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://evil.example")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://evil.example")

    assert openai_client(None, KEY).base_url.host == "api.openai.com"
    assert anthropic_client(None, KEY).base_url.host == "api.anthropic.com"


def test_the_environment_cannot_replace_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "other")

    assert openai_client(None, KEY).api_key == "sk-canary"
    assert anthropic_client(None, KEY).auth_headers == {"Authorization": "Bearer sk-canary"}


def test_no_client_repeats_anything_by_itself() -> None:
    for client in (openai_client(None, KEY), anthropic_client(None, KEY)):
        assert client.max_retries == 0


def test_the_sdks_do_not_log_what_they_send(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("openai", "anthropic", "httpx2"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.DEBUG)

    anthropic_client(None, KEY)

    for name in ("openai", "anthropic", "httpx2"):
        assert not logging.getLogger(f"{name}._anything").isEnabledFor(logging.INFO)

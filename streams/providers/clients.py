"""SDK clients that are told what a deployment says and nothing else: no retries, no address and no key from outside."""

import logging

import anthropic
import httpx2
import openai
from pydantic import SecretStr

from streams.providers.endpoint import Rehearsal
from streams.providers.length import PLAIN

OPENAI_BASE_URL = "https://api.openai.com/v1"
ANTHROPIC_BASE_URL = "https://api.anthropic.com"
"""The SDKs' own defaults. Left out, an environment variable of the process could send questions elsewhere; so could one
that names a proxy, which is why `trust_env` is off.
"""

_LOGGERS = ("openai", "anthropic", "httpx2", "httpcore2")


def openai_client(base_url: str | None, key: SecretStr) -> openai.AsyncOpenAI:
    _quieten()
    client = openai.AsyncOpenAI(
        api_key=key.get_secret_value(),
        base_url=base_url or OPENAI_BASE_URL,
        max_retries=0,
        http_client=_rehearsing(),
    )
    # The SDK takes these from the environment: every deployment would be billed to one organization.
    client.organization = None
    client.project = None
    return client


def anthropic_client(base_url: str | None, key: SecretStr) -> anthropic.AsyncAnthropic:
    _quieten()
    return anthropic.AsyncAnthropic(
        api_key=key.get_secret_value(),
        base_url=base_url or ANTHROPIC_BASE_URL,
        max_retries=0,
        http_client=_rehearsing(),
    )


def _rehearsing() -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=Rehearsal(), trust_env=False, headers={"accept-encoding": PLAIN})


def _quieten() -> None:
    """At debug level Anthropic's SDK logs whole prompts, and httpx2 logs addresses at info level."""
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)

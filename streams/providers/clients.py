"""SDK clients that do what a deployment says and nothing else: no retries, no redirects, no address from outside."""

import logging
from typing import Any

import anthropic
import httpx2
import openai
from pydantic import SecretStr

from streams.providers.length import PLAIN, bound

OPENAI_BASE_URL = "https://api.openai.com/v1"
ANTHROPIC_BASE_URL = "https://api.anthropic.com"
"""The SDKs' own defaults. Left out, an environment variable of the process could send questions elsewhere; so could one
that names a proxy, which is why `trust_env` is off.
"""

_LOGGERS = ("openai", "anthropic", "httpx2", "httpcore2")


def openai_client(base_url: str | None, key: SecretStr, connections: int) -> openai.AsyncOpenAI:
    _quieten()
    client = openai.AsyncOpenAI(
        api_key=key.get_secret_value(),
        base_url=base_url or OPENAI_BASE_URL,
        max_retries=0,
        http_client=openai.DefaultAioHttpClient(**_calls(connections)),
    )
    # The SDK takes these from the environment: every deployment would be billed to one organization.
    client.organization = None
    client.project = None
    return client


def anthropic_client(base_url: str | None, key: SecretStr, connections: int) -> anthropic.AsyncAnthropic:
    _quieten()
    return anthropic.AsyncAnthropic(
        api_key=key.get_secret_value(),
        base_url=base_url or ANTHROPIC_BASE_URL,
        max_retries=0,
        http_client=anthropic.DefaultAioHttpClient(**_calls(connections)),
    )


def _calls(connections: int) -> dict[str, Any]:
    return {
        "follow_redirects": False,
        "trust_env": False,
        "limits": _limits(connections),
        "headers": {"accept-encoding": PLAIN},
        "event_hooks": {"response": [bound]},
    }


def _limits(connections: int) -> httpx2.Limits:
    """`invoke` queues before the client does. Twice as many, because a call kept waiting here fails as unreachable,
    and connections may still be closing, or the limit have just been lowered, when one that has its place comes.
    """
    return httpx2.Limits(max_connections=2 * connections, max_keepalive_connections=connections)


def _quieten() -> None:
    """At debug level Anthropic's SDK logs whole prompts, and httpx2 logs addresses at info level."""
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)

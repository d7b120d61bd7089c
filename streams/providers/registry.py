"""One client per deployment, kept for as long as the deployment and its secret stay what they were."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal, Protocol, assert_never

from msgspec import Struct
from pydantic import SecretStr

from schemas.control import Deployment
from streams.providers.anthropic_messages import AnthropicMessages
from streams.providers.clients import anthropic_client, openai_client
from streams.providers.connections import Connections
from streams.providers.openai_chat import OpenAIChat
from streams.providers.protocol import Misconfigured, Provider, Question, Reply


class Secrets(Protocol):
    def secret(self, key_ref: str) -> SecretStr | None:
        """None when there is no such secret. Asked on every call, so that a rotated key is used at once."""
        ...


class Wiring(Struct, frozen=True):
    """The part of a deployment a client is built from; a deployment that changes elsewhere keeps its connections."""

    provider: Literal["openai", "anthropic"]
    base_url: str | None
    key: SecretStr


def build(wiring: Wiring) -> Provider:
    match wiring.provider:
        case "openai":
            return OpenAIChat(openai_client(wiring.base_url, wiring.key), Connections)
        case "anthropic":
            return AnthropicMessages(anthropic_client(wiring.base_url, wiring.key), Connections)
        case _:
            assert_never(wiring.provider)


@dataclass(slots=True)
class _Line:
    """A client in use: `retired` is closed by whoever ends its last call."""

    wiring: Wiring
    provider: Provider
    calls: int = 0
    retired: bool = False


class Registry:
    def __init__(self, secrets: Secrets, build: Callable[[Wiring], Provider] = build) -> None:
        self._secrets = secrets
        self._build = build
        self._lines: dict[str, _Line] = {}

    async def ask(self, deployment: Deployment, question: Question) -> Reply:
        """Raises ProviderError and nothing else; Misconfigured when there is no key."""
        line, replaced = self._line(deployment)
        # Counted before anything is awaited: a line without calls may be closed by any other task.
        line.calls += 1
        try:
            if replaced is not None:
                await self._retire(replaced)
            return await line.provider.ask(question)
        finally:
            line.calls -= 1
            if line.retired and line.calls == 0:
                await line.provider.close()

    async def keep(self, deployments: Collection[str]) -> None:
        """Lets go of every deployment that is not among these."""
        for name in self._lines.keys() - set(deployments):
            if (line := self._lines.pop(name, None)) is not None:
                await self._retire(line)

    async def close(self) -> None:
        """Calls under way are finished; each client is closed after its last."""
        await self.keep(())

    def _line(self, deployment: Deployment) -> tuple[_Line, _Line | None]:
        """The deployment's line, and the one it has just replaced."""
        wiring = self._wiring(deployment)
        line = self._lines.get(deployment.name)
        if line is not None and line.wiring == wiring:
            return line, None
        fresh = self._lines[deployment.name] = _Line(wiring, self._build(wiring))
        return fresh, line

    def _wiring(self, deployment: Deployment) -> Wiring:
        secret = self._secrets.secret(deployment.key_ref)
        # Files with secrets tend to end in a line break.
        key = secret.get_secret_value().strip() if secret is not None else ""
        if not key:
            raise _without_key(deployment, "is missing: give it to the invoke stage")
        if not (key.isascii() and key.isprintable()):
            raise _without_key(deployment, "holds characters no key has: correct it")
        return Wiring(
            provider=deployment.provider,
            base_url=None if deployment.base_url is None else str(deployment.base_url),
            key=SecretStr(key),
        )

    async def _retire(self, line: _Line) -> None:
        line.retired = True
        if line.calls == 0:
            await line.provider.close()


def _without_key(deployment: Deployment, what: str) -> Misconfigured:
    return Misconfigured("authentication", f"The secret `{deployment.key_ref}` of {deployment.name} {what}.")

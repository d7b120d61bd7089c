"""What `invoke` needs of a provider: one question in, one reply or one typed error out. It never retries by itself."""

from typing import Protocol

from msgspec import Struct

from schemas.attempt import ErrorClass
from schemas.base import JsonObject
from schemas.prompt import Prompt
from schemas.response import FinishReason, Output
from schemas.usage import UsageSource


class Question(Struct, frozen=True):
    """`attempt_id` goes along as the client's request id, so that the provider's records can be matched with ours."""

    attempt_id: str
    model: str
    prompt: Prompt
    stream: bool
    timeout_ms: int


class Reply(Struct, frozen=True):
    """`usage_raw` is the provider's usage block untouched; `first_token_ms` counts from the call's start."""

    output: Output
    finish_reason: FinishReason
    model_reported: str | None
    provider_request_id: str | None
    service_tier: str | None
    usage_raw: JsonObject | None
    usage_source: UsageSource
    first_token_ms: int | None


class ProviderError(Exception):
    """Why there is no reply. The message is safe to show: it holds no key, no prompt, no answer and no address.

    retryable: the same question may succeed later or elsewhere.
    ambiguous: the provider may have done, and billed, the work.
    elsewhere: another deployment may do better although this one must not be asked again (wrong key, unknown model).
    usage_raw, usage_source: what a cut stream had reported by then.
    answering: the provider had begun to answer, so the work was done.
    cut_short: there was no time to connect, of which there was less than is usual.
    heard_tokens: a guess of how much of a streamed answer had arrived; None where it is not streamed.
    """

    retryable: bool = False
    ambiguous: bool = False
    elsewhere: bool = False

    def __init__(
        self,
        error_class: ErrorClass,
        message: str,
        *,
        http_status: int | None = None,
        retry_after_ms: int | None = None,
        provider_request_id: str | None = None,
        usage_raw: JsonObject | None = None,
        usage_source: UsageSource = "none",
    ) -> None:
        super().__init__(message)
        self.error_class: ErrorClass = error_class
        self.message = message
        self.http_status = http_status
        self.retry_after_ms = retry_after_ms
        self.provider_request_id = provider_request_id
        self.usage_raw = usage_raw
        self.usage_source: UsageSource = usage_source
        self.answering = False
        self.cut_short = False
        self.heard_tokens: int | None = None


class NotSent(ProviderError):
    """The question never reached the provider: asking again is free."""

    retryable = True


class TurnedAway(ProviderError):
    """The provider said no for now (429, 5xx, 529), before doing the work: asking again is free, later."""

    retryable = True


class Lost(ProviderError):
    """Sent, and no usable answer: a timeout, a cut stream, an unreadable body. It may have been billed."""

    retryable = True
    ambiguous = True


class Misconfigured(ProviderError):
    """This deployment cannot answer (wrong key, no permission, unknown model); another may."""

    elsewhere = True


class Unacceptable(ProviderError):
    """The question itself is refused (400, 413, 422, content filter): do not ask another deployment."""


class Provider(Protocol):
    async def ask(self, question: Question) -> Reply:
        """Raises ProviderError and nothing else; cancellation passes through."""
        ...

    async def close(self) -> None: ...

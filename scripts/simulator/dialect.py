"""What the shell needs of a protocol: how to read a request, and how to word an answer or a refusal."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from scripts.simulator.answers import Answer, Author
from scripts.simulator.ask import Ask, Refusal
from scripts.simulator.prices import Provider
from scripts.simulator.prompt_cache import PromptCache
from scripts.simulator.quota import Quota, Standing
from scripts.simulator.shapes import Object
from scripts.simulator.usage import Usage

Headers = Mapping[bytes, bytes]
HeaderList = list[tuple[bytes, bytes]]


class Frame(NamedTuple):
    """Bytes of a stream, and how many visible tokens the model has produced to send them."""

    data: bytes
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """`serial` is unique among all replies of all runs; `created_s` is the Unix time."""

    ask: Ask
    answer: Answer
    usage: Usage
    serial: str
    created_s: int

    @property
    def model_name(self) -> str:
        return self.ask.model.answers_as(self.ask.asked_model)


class Dialect(Protocol):
    """One endpoint of one provider. Everything but `usage`, which asks the prompt cache, is pure."""

    @property
    def provider(self) -> Provider: ...

    @property
    def endpoint(self) -> str: ...

    @property
    def billed(self) -> bool: ...

    def api_key(self, headers: Headers) -> str | None: ...

    def read(self, headers: Headers, body: Object) -> Ask | Refusal: ...

    def answer(self, author: Author, ask: Ask) -> Answer: ...

    def usage(self, cache: PromptCache, owner: str, ask: Ask) -> Usage:
        """The prompt's buckets; what is generated is added to them."""
        ...

    def whole(self, reply: Reply) -> bytes: ...

    def frames(self, reply: Reply) -> Iterator[Frame]: ...

    def error(self, refusal: Refusal, request_id: str) -> bytes: ...

    def error_event(self, refusal: Refusal, request_id: str) -> bytes: ...

    def headers(self, request_id: str) -> HeaderList: ...

    def retry_headers(self, wait_s: float) -> HeaderList: ...

    def limit_headers(self, quota: Quota, standing: Standing) -> HeaderList: ...

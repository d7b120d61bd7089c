"""What a record says, as far as an invariant asks for it. Nothing of a prompt or an answer is kept but its marks."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from schemas.call import Phase
from schemas.response import ErrorCode, Status
from schemas.usage import CostStatus
from scripts.cli.audit_fold import Asked, Buried, Place, Replied

RequestKind = Literal["accepted", "refused"]


@dataclass(frozen=True, slots=True)
class Cause:
    """Which record of which stage's input a record was written for, and as the how-manieth of it."""

    stage: str
    place: Place
    number: int


@dataclass(frozen=True, slots=True)
class Requested:
    """`load_number`: the how-manieth record of the load, None for anybody else's."""

    asked: Asked
    key: bytes | None
    load_number: int | None


@dataclass(frozen=True, slots=True)
class Validated:
    kind: RequestKind
    identity: str
    tenant_id: str
    user_id: str | None
    origin: Place
    digest: str


@dataclass(frozen=True, slots=True)
class Admitted:
    identity: str
    namespace: str


@dataclass(frozen=True, slots=True)
class Dispatched:
    """`deadline_ms`: UTC, None for none."""

    identity: str
    max_attempts: int
    deadline_ms: int | None


@dataclass(frozen=True, slots=True)
class Completed:
    """`saved_from`: the request id whose answer this repeats, for a cache hit. `answered_by`: the attempt that
    brought a whole answer.
    """

    identity: str
    tenant_id: str | None
    attempts: tuple[str, ...]
    saved_from: str | None
    answered_by: str | None = None


@dataclass(frozen=True, slots=True)
class Responded:
    """`owners`: tenants whose marks are in the output, the error or the labels; `numbers`: those of the marks in the
    output, of which the last may be incomplete when it `is_cut`.
    """

    replied: Replied
    tenant_id: str | None
    attempts: int
    cost_usd: Decimal | None
    owners: frozenset[str]
    is_prompt_in_error: bool
    status: Status = "ok"
    code: ErrorCode | None = None
    numbers: frozenset[str] = frozenset()
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Called:
    """A row of `llm.calls`. `attempt_no` is 0 for a request that ended without any call."""

    identity: str
    tenant_id: str
    attempt_id: str
    attempt_no: int
    phase: Phase
    cost_status: CostStatus
    cost_usd: Decimal | None
    tokens: int
    produced_ms: int
    is_final: bool

    @property
    def is_attempt(self) -> bool:
        return self.attempt_no > 0


@dataclass(frozen=True, slots=True)
class Cached:
    """A record of `llm.cache`. `holder`: the identity that asks, or the request id whose answer is kept."""

    kind: str
    namespace: str
    entry: str
    holder: str
    owners: frozenset[str]


@dataclass(frozen=True, slots=True)
class Configured:
    """A tenant's limits of requests as `llm.control` has them; None: no limit."""

    tenant_id: str
    limit: tuple[int, int] | None
    user_limit: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Accounted:
    """What `limit` has counted of a budget. `known_usd` is without what it guessed."""

    tenant_id: str
    budget: str
    subject: str
    period: str
    known_usd: Decimal


@dataclass(frozen=True, slots=True)
class Lettered:
    """A dead letter. `cause` is the record that could not be handled."""

    buried: Buried
    cause: Place | None


@dataclass(frozen=True, slots=True)
class Passed:
    """Nothing is asked of what is on it: that it is there, and what caused it, is all."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    problem: str


Fact = (
    Requested
    | Validated
    | Admitted
    | Dispatched
    | Completed
    | Responded
    | Called
    | Cached
    | Configured
    | Accounted
    | Lettered
    | Passed
    | Unreadable
)


@dataclass(frozen=True, slots=True)
class Seen:
    """A record as it was read. `topic` is its name without the prefix; `leaks` are marks where none may be."""

    place: Place
    topic: str
    at_ms: int
    event_id: str | None
    cause: Cause | None
    fact: Fact
    leaks: tuple[str, ...] = ()

"""Every topic: what is on it, what its key is and why, how long it is kept."""

from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter

from schemas.account import Account, Meter, Registration
from schemas.alert import Alert
from schemas.audit import Audit
from schemas.cached import Fill, FlightEnded, FlightStarted, Invalidated
from schemas.call import CallRow
from schemas.control import CONTROL as CONTROL_OBJECTS
from schemas.control import LONGEST_CACHE_TTL_S, LONGEST_STALE_TTL_S, Breaker, Deployment, Route, Slowdown, Tenant
from schemas.flow import Accepted, Admitted, Completion, Deferred, Dispatch, HandedOver, Miss, Refused
from schemas.kinds import Kinds, models, structs
from schemas.money import Budget, Override, Price, SpendStop
from schemas.notice import Notice
from schemas.request import Priority, Request
from schemas.response import Response
from schemas.routing import Latency

Cleanup = Literal["delete", "compact", "compact,delete"]

KIB = 1024
MIB = 1024 * KIB
MAX_REQUEST_BYTES = 4 * MIB
"""Larger requests are answered with `request_too_large`."""
_INSIDE_BYTES = 6 * MIB  # a request of the largest size, and what the stages add to it
_OUTSIDE_BYTES = 16 * MIB  # so that a request that is too large arrives, and can be told so
_DEAD_LETTER_BYTES = 18 * MIB  # the largest record there can be, with the reason in its headers
_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS


@dataclass(frozen=True, slots=True)
class Topic:
    """`name` is without the prefix. `partitions` is "all" for the cluster's partition count: co-partitioned topics
    must agree, so there is only one such number; 1 where a total order is needed.

    `fenced`: brokers refuse what a worker decided before it froze and sends when its partitions have a new owner. Where
    its record would be acted on, or overwrite the new owner's. Not where the outside world writes, nor where the record
    tells of a call that was paid for, whoever made it.
    `compacts_within_ms`: a table's superseded records are gone this long after, so that little more than what is alive
    is read back.
    """

    name: str
    carries: str
    key: str
    events: Kinds | None
    cleanup: Cleanup = "delete"
    retention_ms: int = 7 * _DAY_MS
    max_message_bytes: int = _INSIDE_BYTES
    partitions: Literal["all", 1] = "all"
    fenced: bool = False
    compacts_within_ms: int | None = None


REQUESTS = Topic(
    "requests",
    "questions from the outside world",
    "producer's choice; the tenant is advised",
    models(TypeAdapter(Request), Request),
    max_message_bytes=_OUTSIDE_BYTES,
)
VALIDATED = Topic(
    "validated",
    "well-formed requests, and refusals of proven tenants",
    "tenant: one writer owns a tenant's limits",
    structs(Accepted, Refused),
    fenced=True,
)
DEFERRED = Topic(
    "deferred",
    "requests that wait until their limits take them",
    "tenant: beside what limit knows of it",
    structs(Deferred),
    retention_ms=2 * _DAY_MS,
    fenced=True,
)
ADMITTED = Topic(
    "admitted",
    "requests within their limits",
    "cache namespace: equal questions meet in one partition",
    structs(Admitted),
    fenced=True,
)
CACHE = Topic(
    "cache",
    "answers that may be given again, questions in flight, and what was taken back",
    "cache entry; the partition is the namespace's, what was taken back is on all",
    structs(Fill, FlightStarted, FlightEnded, Invalidated),
    cleanup="compact,delete",
    # the longest that an answer is kept, behind the longest that its question may have been asked for, and a day
    retention_ms=(LONGEST_CACHE_TTL_S + LONGEST_STALE_TTL_S) * 1000 + 8 * _DAY_MS,
    fenced=True,
    compacts_within_ms=_HOUR_MS,
)
MISSES = Topic("misses", "requests that must be asked", "request id: spreads a busy tenant", structs(Miss), fenced=True)


def _lane(priority: Priority) -> Topic:
    return Topic(
        f"dispatch.{priority}",
        f"requests with a plan, {priority} priority",
        "request id",
        structs(Dispatch),
        fenced=True,
    )


DISPATCH: dict[Priority, Topic] = {"high": _lane("high"), "normal": _lane("normal"), "low": _lane("low")}
COMPLETIONS = Topic("completions", "requests that have ended, however they ended", "request id", structs(Completion))
HANDOVERS = Topic(
    "handovers",
    "requests still being called for by a worker whose partition went to another",
    "request id: beside its completion",
    structs(HandedOver),
    retention_ms=_DAY_MS,
)
RESPONSES = Topic("responses", "one terminal answer per request", "request id", structs(Response), fenced=True)
NOTICES = Topic(
    "notices",
    "requests that wait, and how long that may take",
    "request id",
    structs(Notice),
    retention_ms=_DAY_MS,
)
CALLS = Topic(
    "calls",
    "call rows: attempts started, settled and priced",
    "tenant: the writer of its limits settles them",
    structs(CallRow),
    retention_ms=30 * _DAY_MS,
)
ACCOUNTS = Topic(
    "accounts",
    "changelog of limit: meters and request ids seen",
    "record name; the partition is the tenant's",
    structs(Meter, Registration),
    cleanup="compact,delete",
    retention_ms=2 * _DAY_MS,
    fenced=True,
    compacts_within_ms=_HOUR_MS,
)
BUDGETS = Topic(
    "budgets",
    "changelog of limit: what was spent of each budget in its period",
    "record name; the partition is the tenant's",
    structs(Account),
    cleanup="compact,delete",
    retention_ms=70 * _DAY_MS,
    fenced=True,
    compacts_within_ms=_HOUR_MS,
)
CONTROL = Topic(
    "control",
    "the newest state of each object of the configuration, and of what watch and operators decide",
    "kind/name",
    models(CONTROL_OBJECTS, Tenant, Deployment, Route, Breaker, Slowdown, Latency, Price, Budget, Override, SpendStop),
    cleanup="compact",
    retention_ms=-1,
    partitions=1,
    compacts_within_ms=_HOUR_MS,
)
ALERTS = Topic("alerts", "what the operator should know", "subject", models(TypeAdapter(Alert), Alert), partitions=1)
AUDIT = Topic(
    "audit",
    "what operators did, by whom and why",
    "subject",
    models(TypeAdapter(Audit), Audit),
    retention_ms=400 * _DAY_MS,
    partitions=1,
)
DEAD_LETTERS = Topic(
    "dlq",
    "records that could not be handled, byte for byte, with the reason in their headers",
    "as on the topic it came from",
    None,
    retention_ms=30 * _DAY_MS,
    max_message_bytes=_DEAD_LETTER_BYTES,
)

TOPICS = (
    REQUESTS,
    VALIDATED,
    DEFERRED,
    ADMITTED,
    CACHE,
    MISSES,
    *DISPATCH.values(),
    COMPLETIONS,
    HANDOVERS,
    RESPONSES,
    NOTICES,
    CALLS,
    ACCOUNTS,
    BUDGETS,
    CONTROL,
    ALERTS,
    AUDIT,
    DEAD_LETTERS,
)

"""A request id as `limit` holds it in memory: a day of a tenant's ids must fit, so each takes some 400 bytes."""

import sys
from decimal import Decimal
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from schemas.account import Charged, LimitUnit, Meters, Registration
from schemas.response import Failure

DIGEST_BYTES = 15
"""120 bits: no two meet by chance, and with Python's header they fill 48 bytes, where 16 would take 64."""
MARK_CHARS = 12
"""Of an attempt's id, its end: what tells the few attempts of one request apart. Cut again, it stays the same."""
_AT = "@"


class AccountKey(NamedTuple):
    """Whose spending, of which budget, in which period: see `schemas.account.Account`."""

    tenant_id: str
    budget: str
    subject: str
    period: str


def shortened(digest: str) -> bytes:
    """Of a digest in hex; the same whether it was cut before or not."""
    return bytes.fromhex(digest[: DIGEST_BYTES * 2])


class Held(Struct, frozen=True):
    """Tokens held until a call is settled, and where holding them moved the meters of a minute (0: it holds none of
    them), and others, by scope/unit.
    """

    tokens: int
    tenant_until_us: int
    user_until_us: int
    others_until_us: tuple[tuple[str, int], ...] = ()

    def until_us(self, scope: str, unit: LimitUnit) -> int:
        match scope, unit:
            case "tenant", "tokens":
                return self.tenant_until_us
            case "user", "tokens":
                return self.user_until_us
            case _:
                return dict(self.others_until_us).get(f"{scope}/{unit}", 0)

    def holding(self, scope: str, unit: LimitUnit, tokens: int, until_us: int) -> "Held":
        match scope, unit:
            case "tenant", "tokens":
                return replace(self, tokens=tokens, tenant_until_us=until_us)
            case "user", "tokens":
                return replace(self, tokens=tokens, user_until_us=until_us)
            case _:
                others = (*self.others_until_us, (sys.intern(f"{scope}/{unit}"), until_us))
                return replace(self, tokens=tokens, others_until_us=others)


NOTHING = Held(0, 0, 0)


class Registered(Struct, frozen=True):
    """`settled` are marks of attempts, `encoded_refusal` is a Failure as JSON: as objects both take a multiple."""

    offset: int
    digest: bytes
    seen_at_ms: int
    user_id: str | None
    held: Held
    settled: str
    encoded_refusal: bytes | None
    model: str | None = None
    held_usd: Decimal | None = None
    closed_offset: int | None = None
    charged: tuple[AccountKey, ...] = ()
    deferred_until_ms: int | None = None
    deferred_offset: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether money is still to be counted for it."""
        return bool(self.held_usd) and self.closed_offset is None

    @property
    def is_waiting(self) -> bool:
        return self.deferred_until_ms is not None

    @property
    def refusal(self) -> Failure | None:
        return None if self.encoded_refusal is None else Failure.decode(self.encoded_refusal)

    def has_settled(self, attempt_id: str) -> bool:
        if not self.settled:
            return False
        return attempt_id[-MARK_CHARS:] in (mark.rpartition(_AT)[2] for mark in self.settled.split())

    def was_settled_by(self, attempt_id: str, offset: int) -> bool:
        """Whether that attempt was settled by the very row at this offset, where money counts."""
        return f"{offset}{_AT}{attempt_id[-MARK_CHARS:]}" in self.settled.split()

    def settling(self, attempt_id: str, offset: int = -1, *, closed_offset: int | None = None) -> "Registered":
        """With no tokens held any more, and this attempt among the settled by the row at `offset`. Money is held until
        the final row is counted, whose offset is given then.
        """
        mark = (f"{offset}{_AT}" if self.charged else "") + attempt_id[-MARK_CHARS:]
        return replace(
            self,
            held=NOTHING,
            settled=f"{self.settled} {mark}".lstrip(),
            closed_offset=self.closed_offset if closed_offset is None else closed_offset,
        )

    def record(
        self,
        tenant_id: str,
        request_id: str,
        tenant_meters: Meters | None,
        user_meters: Meters | None,
        model_meters: Meters | None = None,
    ) -> Registration:
        """As it goes to the changelog, with digest and attempts as short as they are known here."""
        return Registration(
            tenant_id=tenant_id,
            user_id=self.user_id,
            request_id=request_id,
            offset=self.offset,
            digest=self.digest.hex(),
            seen_at_ms=self.seen_at_ms,
            refusal=self.refusal,
            reserved_tokens=self.held.tokens,
            tenant_held_until_us=self.held.tenant_until_us,
            user_held_until_us=self.held.user_until_us,
            held_until_us=dict(self.held.others_until_us),
            settled_attempts=tuple(self.settled.split()),
            tenant_meters=tenant_meters,
            user_meters=user_meters,
            model=self.model,
            model_meters=model_meters,
            held_usd=self.held_usd,
            closed_offset=self.closed_offset,
            deferred_offset=self.deferred_offset,
            charged=to_charged(self.charged),
        )


def to_charged(accounts: tuple[AccountKey, ...]) -> tuple[Charged, ...]:
    if not accounts:  # nearly always
        return ()
    return tuple(Charged(budget=key.budget, subject=key.subject, period=key.period) for key in accounts)


def registered(event: Registration) -> Registered:
    held = Held(
        event.reserved_tokens,
        event.tenant_held_until_us,
        event.user_held_until_us,
        tuple((sys.intern(name), until_us) for name, until_us in event.held_until_us.items())
        if event.held_until_us
        else (),
    )
    return Registered(
        offset=event.offset,
        digest=shortened(event.digest),
        seen_at_ms=event.seen_at_ms,
        user_id=None if event.user_id is None else sys.intern(event.user_id),
        held=NOTHING if held == NOTHING else held,
        settled=" ".join(map(_mark, event.settled_attempts)) if event.settled_attempts else "",
        encoded_refusal=None if event.refusal is None else event.refusal.encode(),
        model=None if event.model is None else sys.intern(event.model),
        held_usd=event.held_usd,
        closed_offset=event.closed_offset,
        charged=tuple(AccountKey(event.tenant_id, each.budget, each.subject, each.period) for each in event.charged)
        if event.charged
        else (),
        deferred_until_ms=event.deferred_until_ms,
        deferred_offset=event.deferred_offset,
    )


def _mark(attempt: str) -> str:
    offset, at, name = attempt.rpartition(_AT)
    return f"{offset}{at}{name[-MARK_CHARS:]}"

"""A request id as `limit` holds it in memory: a day of a tenant's ids must fit, so each takes some 400 bytes."""

import sys

from msgspec import Struct
from msgspec.structs import replace

from schemas.account import Meters, Registration
from schemas.response import Failure

DIGEST_BYTES = 15
"""120 bits: no two meet by chance, and with Python's header they fill 48 bytes, where 16 would take 64."""
MARK_CHARS = 12
"""Of an attempt's id, its end: what tells the few attempts of one request apart. Cut again, it stays the same."""


def shortened(digest: str) -> bytes:
    """Of a digest in hex; the same whether it was cut before or not."""
    return bytes.fromhex(digest[: DIGEST_BYTES * 2])


class Held(Struct, frozen=True):
    """Tokens held until a call is settled, and where holding them moved the meters (0: it holds none of them)."""

    tokens: int
    tenant_until_us: int
    user_until_us: int


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

    @property
    def refusal(self) -> Failure | None:
        return None if self.encoded_refusal is None else Failure.decode(self.encoded_refusal)

    def has_settled(self, attempt_id: str) -> bool:
        return attempt_id[-MARK_CHARS:] in self.settled.split()

    def settling(self, attempt_id: str) -> "Registered":
        """With nothing held any more, and this attempt among the settled."""
        return replace(self, held=NOTHING, settled=f"{self.settled} {attempt_id[-MARK_CHARS:]}".lstrip())

    def record(
        self, tenant_id: str, request_id: str, tenant_meters: Meters | None, user_meters: Meters | None
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
            settled_attempts=tuple(self.settled.split()),
            tenant_meters=tenant_meters,
            user_meters=user_meters,
        )


def registered(event: Registration) -> Registered:
    held = Held(event.reserved_tokens, event.tenant_held_until_us, event.user_held_until_us)
    return Registered(
        offset=event.offset,
        digest=shortened(event.digest),
        seen_at_ms=event.seen_at_ms,
        user_id=None if event.user_id is None else sys.intern(event.user_id),
        held=NOTHING if held == NOTHING else held,
        settled=" ".join(attempt[-MARK_CHARS:] for attempt in event.settled_attempts),
        encoded_refusal=None if event.refusal is None else event.refusal.encode(),
    )

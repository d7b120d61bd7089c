"""Answers on the cache topic, as `postprocess` would put them there."""

from schemas.cached import Fill
from schemas.flow import Admitted, Saved
from schemas.topics import CACHE
from schemas.usage import Usage
from streams.process import now_ms
from tests.integration.kafka_log import KafkaLog
from tests.unit.examples import answer, slot_of

GOOD_FOR_MS = 3_600_000


def write_fill(log: KafkaLog, event: Admitted, *, age_ms: int = 0, good_for_ms: int = GOOD_FOR_MS) -> None:
    """Somebody else asked what `event` asks, so long ago."""
    slot, stored_at_ms = slot_of(event), now_ms() - age_ms
    fill = Fill(
        namespace=slot.namespace,
        entry=slot.entry,
        answer=answer("Yes."),
        saved=Saved(request_id="r-earlier", usage=Usage(), cost_usd=None),
        stored_at_ms=stored_at_ms,
        expires_at_ms=stored_at_ms + good_for_ms,
    )
    log.write(CACHE, fill, key=slot.entry, partition_by=slot.namespace, timestamp_ms=stored_at_ms)

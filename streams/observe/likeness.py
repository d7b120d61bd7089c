"""How similar the questions were whose answers were given again, and whose were not: told for each, without a word of
them, since whoever sets a threshold must see what it lets through.
"""

from schemas.base import Event
from schemas.flow import Completion, Miss, Ticket
from streams.observe.logs import logger
from streams.observe.metrics import Metrics

log = logger(__name__)


def tell_likeness(event: Event, metrics: Metrics) -> None:
    match event:
        case Completion(cache="semantic", saved=saved) if saved is not None:
            metrics.count("millrace_semantic_total", "given")
            log.info("semantic_hit", similarity=saved.similarity, answer_to=saved.request_id, **_ids(event.ticket))
        case Miss(slot=slot) if slot is not None and slot.meaning is not None:
            refused = slot.refused_similarity
            metrics.count("millrace_semantic_total", "unlike" if refused is None else "refused")
            if refused is not None:
                log.info("semantic_refused", similarity=refused, **_ids(event.ticket))
        case _:
            pass


def _ids(ticket: Ticket) -> dict[str, str | None]:
    return {"request_id": ticket.request_id, "tenant": ticket.tenant_id}

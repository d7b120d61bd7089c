"""When the operator is told that a model has no price."""

from schemas.alert import Alert
from schemas.base import Model
from streams.watch.sightings import UnpricedSeen

SPAN_S = 3_600


class Told(Model):
    """Whether the operator has heard of a model in this hour."""

    alerted: bool = False


def unpriced_alert(seen: UnpricedSeen, now_ms: int) -> Alert:
    return Alert(
        alert="unpriced_model",
        severity="warning",
        subject=f"model/{seen.subject}",
        message=f"Answers of {seen.subject}{f' by {seen.provider}' if seen.provider else ''} have no price: their cost "
        "is NULL until one is added and the rows are priced again.",
        value=seen.subject,
        threshold="",
        at_ms=now_ms,
    )

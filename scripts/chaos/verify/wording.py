"""How a violation names what it is about."""

from datetime import UTC, datetime

from scripts.cli.audit_fold import Place


def where(place: Place) -> str:
    return f"{place.topic}/{place.partition}/{place.offset}"


def clock(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]

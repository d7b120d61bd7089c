"""An operator's word: an object on `llm.control`, and on `llm.audit` who said it and why."""

import getpass
from collections.abc import Mapping, Sequence
from time import time_ns

import uuid_utils

from schemas.audit import Action, Audit
from schemas.control import control_key
from schemas.headers import outgoing, topic_event_type
from schemas.money import Override, SpendStop
from schemas.topics import AUDIT, CONTROL, Topic
from scripts.cli.kafka import LiveCluster
from scripts.cli.producer import ConfirmedProducer


def operator() -> str:
    """Who is at this terminal, as far as the machine knows."""
    try:
        return getpass.getuser()
    except OSError:  # a container's user without a name
        return "operator"


def say(cluster: LiveCluster, word: Override | SpendStop, audit: Audit) -> None:
    """The record of it comes first: what is recorded and did not happen can be said again, what happened unrecorded is
    lost. Raises Fault when the brokers do not take either.
    """
    tell(cluster, audit)
    _write(cluster, CONTROL, control_key(word), word.encode(), audit.at_ms)


def audited(action: Action, subject: str, *, reason: str, detail: Mapping[str, str]) -> Audit:
    """By whoever runs this, now."""
    return Audit(
        action=action, subject=subject[:256], by=operator(), reason=reason[:500], detail={**detail}, at_ms=now_ms()
    )


def tell(cluster: LiveCluster, audit: Audit) -> None:
    """Of what is decided elsewhere than on `llm.control`. Raises Fault when the brokers do not take it."""
    tell_all(cluster, [audit])


def tell_all(cluster: LiveCluster, audits: Sequence[Audit]) -> None:
    cluster.partitions(AUDIT)
    producer, topic = ConfirmedProducer(cluster.settings), cluster.settings.topic(AUDIT)
    for audit in audits:
        headers = _headers(AUDIT, audit.at_ms)
        producer.send(topic, audit.subject.encode(), audit.encode(), headers, partition=0)
    producer.confirm()


def _write(cluster: LiveCluster, topic: Topic, key: str, value: bytes, at_ms: int) -> None:
    producer = ConfirmedProducer(cluster.settings)
    producer.send(cluster.settings.topic(topic), key.encode(), value, _headers(topic, at_ms), partition=0)
    producer.confirm()


def _headers(topic: Topic, at_ms: int) -> list[tuple[str, bytes]]:
    return outgoing(topic_event_type(topic.name), str(uuid_utils.uuid7()), "millrace/cli", at_ms, None)


def now_ms() -> int:
    return time_ns() // 1_000_000

"""What an operator did, written to `llm.audit` and acknowledged."""

import getpass
from collections.abc import Mapping
from time import time_ns

import uuid_utils

from schemas.audit import Action, Audit
from schemas.headers import outgoing, topic_event_type
from schemas.topics import AUDIT
from scripts.cli.kafka import LiveCluster
from scripts.cli.producer import ConfirmedProducer


def tell(cluster: LiveCluster, action: Action, subject: str, reason: str, detail: Mapping[str, str]) -> None:
    """Raises Fault when the brokers do not take it."""
    now_ms = time_ns() // 1_000_000
    event = Audit(action=action, subject=subject, by=getpass.getuser(), reason=reason, detail={**detail}, at_ms=now_ms)
    headers = outgoing(topic_event_type(AUDIT.name), str(uuid_utils.uuid7()), "millrace/cli", now_ms, None)
    producer = ConfirmedProducer(cluster.settings)
    producer.send(cluster.settings.topic(AUDIT), subject.encode(), event.encode(), headers)
    producer.confirm()

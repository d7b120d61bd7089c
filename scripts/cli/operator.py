"""What an operator decides: written to `llm.control` with who and why on `llm.audit`, both acknowledged or neither told
as done.
"""

import getpass
import socket
from collections.abc import Mapping
from time import time_ns

import uuid_utils

from schemas.audit import Action, Audit
from schemas.control import AnyControl, control_key
from schemas.headers import outgoing, topic_event_type
from schemas.topics import AUDIT, CONTROL, Topic
from scripts.cli.kafka import LiveCluster
from scripts.cli.producer import ConfirmedProducer


def whoever_runs_this() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"[:128]


def decide(
    cluster: LiveCluster,
    decided: AnyControl,
    *,
    action: Action,
    subject: str,
    by: str,
    reason: str,
    detail: dict[str, str],
) -> None:
    """The audit goes out first: what is in force without a word of why would be worse than a word about nothing. Raises
    Fault when the brokers do not take both.
    """
    tell(cluster, action, subject, by=by, reason=reason, detail=detail)
    _write(cluster, CONTROL, control_key(decided), decided.encode(), time_ns() // 1_000_000)


def tell(
    cluster: LiveCluster, action: Action, subject: str, *, by: str, reason: str, detail: Mapping[str, str]
) -> None:
    """Of what is decided elsewhere than on `llm.control`. Raises Fault when the brokers do not take it."""
    now_ms = time_ns() // 1_000_000
    told = Audit(action=action, subject=subject[:256], by=by, reason=reason[:500], detail={**detail}, at_ms=now_ms)
    _write(cluster, AUDIT, subject, told.encode(), now_ms)


def _write(cluster: LiveCluster, topic: Topic, key: str, value: bytes, now_ms: int) -> None:
    producer = ConfirmedProducer(cluster.settings)
    headers = outgoing(topic_event_type(topic.name), str(uuid_utils.uuid7()), "millrace/cli", now_ms, None)
    producer.send(cluster.settings.topic(topic), key.encode(), value, headers, partition=0)
    producer.confirm()

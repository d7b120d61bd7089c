"""How the Kafka clients are set up. The values that keep promises are fixed here and are not settings."""

import logging
import ssl
from typing import Any

from pydantic import SecretStr

from streams.settings import CLOCK_SKEW_MS, KafkaSettings

LARGEST_RECORD_BYTES = 20 * 1024 * 1024
"""Above the dead letters' topic limit: the broker's limit per topic is the one that decides."""

READERS = "reader"
"""Last part of the group that reads without joining: librdkafka asks for its coordinator all the same."""
HEARTBEAT_MS = 1_000
"""However long a session may be: a member hears of a rebalance by its next heartbeat, and until the last has heard, all
of the group stand idle."""
MAX_POLL_INTERVAL_MS = 90_000
"""How long a group waits for a member that finishes, reads state back, or waits for its records to be safe, each of
which keeps it from polling. At 100 000 records a second that is a state of 9 million. And so long librdkafka waits for
the answer to its asking for partitions, which a coordinator that moves while it is asked has been seen to lose.
"""
_ANSWER_MS = 10_000
"""A broker that does not answer for so long is asked no more, but whoever has taken its place. With librdkafka's
default a frozen coordinator held a commit up for 46 s, in a cluster whose other brokers had taken over after 10."""
_UNPACKED_BYTES = 256 * 1024 * 1024
"""Of one batch. librdkafka can neither read nor pass over one that is more: whoever owns the partition would end."""
_FETCH_BUFFER_KIB = 16 * 1024
_FETCH_BYTES = 1024 * 1024
"""Of one answer of a broker, compressed: unpacked it is many times as much, and all of it in memory at once. A record
that is larger comes alone."""


def _common(kafka: KafkaSettings) -> dict[str, Any]:
    config: dict[str, Any] = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "security.protocol": kafka.security_protocol,
        "socket.nagle.disable": True,
        "reconnect.backoff.max.ms": 2_000,
        # librdkafka prints to standard error by itself unless told otherwise; our log is JSON
        "logger": logging.getLogger("librdkafka"),
        "log_level": 3,
        "allow.auto.create.topics": False,
    }
    if kafka.uses_tls:
        config |= _tls(kafka)
    if kafka.uses_sasl:
        config |= {
            "sasl.mechanism": kafka.sasl_mechanism,
            "sasl.username": kafka.sasl_username or "",
            "sasl.password": _plain(kafka.sasl_password),
        }
    return config


def _tls(kafka: KafkaSettings) -> dict[str, Any]:
    """The broker's certificate is always checked, and that it names the host that was dialled."""
    files = {
        "ssl.ca.location": kafka.ssl_ca_file,
        "ssl.certificate.location": kafka.ssl_certificate_file,
        "ssl.key.location": kafka.ssl_key_file,
    }
    config: dict[str, Any] = {name: str(path) for name, path in files.items() if path is not None}
    if kafka.ssl_key_password is not None:
        config["ssl.key.password"] = _plain(kafka.ssl_key_password)
    return config


def tls_context(kafka: KafkaSettings) -> ssl.SSLContext | None:
    """The same for the clients in Python; None where the connection is not encrypted. Raises OSError, of which
    ssl.SSLError is one, for a file that is none of its kind.
    """
    if not kafka.uses_tls:
        return None
    context = ssl.create_default_context(cafile=kafka.ssl_ca_file)
    if kafka.ssl_certificate_file is not None:
        # without a password OpenSSL would ask for one on the terminal, and wait
        context.load_cert_chain(kafka.ssl_certificate_file, kafka.ssl_key_file, _plain(kafka.ssl_key_password))
    return context


def _plain(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()


def _fetching() -> dict[str, Any]:
    return {
        "socket.timeout.ms": _ANSWER_MS,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "queued.max.messages.kbytes": _FETCH_BUFFER_KIB,
        # of each partition; a small record takes far more memory than its bytes, and the default is 100 000
        "queued.min.messages": 5_000,
        # after a full local queue librdkafka waits this long before it fetches again; its default is a second
        "fetch.queue.backoff.ms": 10,
        "fetch.message.max.bytes": _FETCH_BYTES,
        "fetch.max.bytes": _FETCH_BYTES,
        "receive.message.max.bytes": _UNPACKED_BYTES,
    }


def consumer_config(kafka: KafkaSettings, stage: str) -> dict[str, Any]:
    """Range assignment keeps co-partitioned topics together; `earliest` because skipping is losing."""
    return {
        **_common(kafka),
        **_fetching(),
        # what waits here is in the order in which it came: all of a flood before whatever comes to other partitions
        "queued.min.messages": 1_000,
        "client.id": f"millrace-{stage}",
        "group.id": kafka.group(stage),
        "partition.assignment.strategy": "range",
        "auto.offset.reset": "earliest",
        "session.timeout.ms": kafka.session_timeout_ms,
        "heartbeat.interval.ms": HEARTBEAT_MS,
        "max.poll.interval.ms": max(MAX_POLL_INTERVAL_MS, kafka.session_timeout_ms),
    }


def reader_config(kafka: KafkaSettings) -> dict[str, Any]:
    """For reading partitions by hand, outside any group, with a sign at their end."""
    return {
        **_common(kafka),
        **_fetching(),
        "client.id": "millrace-reader",
        "group.id": kafka.group(READERS),
        "auto.offset.reset": "earliest",
        "enable.partition.eof": True,
    }


def producer_config(kafka: KafkaSettings, stage: str) -> dict[str, Any]:
    """Acknowledged by all in-sync copies, in order, without duplicates of its own making, placed as Java does."""
    return {
        **_common(kafka),
        "client.id": f"millrace-{stage}",
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "compression.type": "lz4",
        "linger.ms": 1,
        "socket.timeout.ms": _ANSWER_MS,
        # later than brokers refuse it, by any clock: once the first of a batch is given up, none of the others can
        # still be written, which would leave a gap where a changelog must have none
        "delivery.timeout.ms": kafka.delivery_timeout_ms + CLOCK_SKEW_MS,
        "message.max.bytes": LARGEST_RECORD_BYTES,
        # success needs no callback per record: flush() says when nothing is left, errors come one by one
        "delivery.report.only.error": True,
    }


def admin_config(kafka: KafkaSettings) -> dict[str, Any]:
    return {**_common(kafka), "client.id": "millrace-admin"}

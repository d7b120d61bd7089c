"""How Faust is set up. What keeps promises, or keeps ports closed, is fixed here and is not a setting."""

from typing import Any

import faust
from faust.auth import Credentials

from streams.runtime.clients import LARGEST_RECORD_BYTES, tls_context
from streams.settings import KafkaSettings
from streams.watch.settings import WatchSettings

STAGE = "watch"
_BUFFERED_BATCHES = 4  # per agent; rows beyond them wait in the broker, not in our memory


def credentials(kafka: KafkaSettings) -> Credentials | None:
    """None for an unprotected connection. Raises OSError for a certificate that cannot be read."""
    if kafka.security_protocol == "PLAINTEXT":
        return None
    context = tls_context(kafka)
    if context is not None and kafka.security_protocol == "SSL":
        return faust.SSLCredentials(context=context)
    return faust.SASLCredentials(
        username=kafka.sasl_username or "",
        password=kafka.sasl_password.get_secret_value() if kafka.sasl_password else "",
        ssl_context=context,
        mechanism=kafka.sasl_mechanism,
    )


def faust_app(kafka: KafkaSettings, watch: WatchSettings) -> faust.App:
    """At-least-once; `exactly_once` of this Faust duplicates more than it saves. The id is also the consumer group
    and the prefix of every topic Faust makes for itself.
    """
    session_s = kafka.session_timeout_ms / 1_000
    options: dict[str, Any] = {
        "broker": [f"kafka://{server.strip()}" for server in kafka.bootstrap_servers.split(",")],
        "broker_credentials": credentials(kafka),
        "broker_client_id": f"millrace-{STAGE}",
        "broker_session_timeout": session_s,
        "broker_heartbeat_interval": max(1.0, session_s / 10),
        "broker_request_timeout": session_s + 15,
        "broker_commit_interval": watch.commit_interval_ms / 1_000,
        "producer_request_timeout": kafka.delivery_timeout_ms / 1_000,
        "producer_max_request_size": LARGEST_RECORD_BYTES,
        "key_serializer": "raw",
        "value_serializer": "raw",
        "store": "rocksdb://",
        "datadir": watch.data_dir,
        # a standby copy of tables that are rebuilt within seconds would only double the traffic
        "table_standby_replicas": 0,
        "topic_partitions": kafka.partitions,
        "topic_replication_factor": kafka.replication,
        "topic_disable_leader": True,
        "stream_buffer_maxsize": _BUFFERED_BATCHES,
        # its web server would listen on every address and show the tables to whoever asks
        "web_enabled": False,
    }
    return faust.App(kafka.group(STAGE), **options)

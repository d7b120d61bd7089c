"""Why this client and the brokers do not come together, in a sentence. librdkafka knows it only in part: that a
certificate was not accepted, but not whether it is old, somebody else's or signed by a stranger.
"""

import socket
import ssl
from collections.abc import Iterable
from urllib.parse import urlsplit

from confluent_kafka import KafkaError

from scripts.cli.environment import variable
from sinks.certificate import distrust
from streams.runtime.clients import tls_context
from streams.settings import KafkaSettings

_PATIENCE_S = 3.0
_DEFAULT_PORT = 9092  # librdkafka's
_HEARS_OF_REFUSAL_S = 1.0
_DEFINITE = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL})  # noqa: SLF001  # public codes, named so


def is_definite(heard: Iterable[KafkaError]) -> bool:
    """Waiting longer would change nothing."""
    return any(error.code() in _DEFINITE for error in heard)


def refusal(kafka: KafkaSettings, heard: Iterable[KafkaError]) -> str | None:
    """None where the brokers are just away. `heard`: what librdkafka has told meanwhile. Asks the first broker for its
    certificate; nothing is sent to it.
    """
    problem = unusable_files(kafka)
    if problem is not None:
        return problem
    for error in heard:
        if error.code() == KafkaError._AUTHENTICATION:  # noqa: SLF001  # a public code, named so
            return _unauthenticated(kafka, error.str())
    try:
        return _shaken_hands(kafka)
    except (OSError, ValueError):  # nobody is there, or what is configured is no address
        return None


def unusable_files(kafka: KafkaSettings) -> str | None:
    if not kafka.uses_tls:
        return None
    try:
        ssl.create_default_context(cafile=kafka.ssl_ca_file)
    except OSError as error:
        return f"{_name('ssl_ca_file')}: {kafka.ssl_ca_file} holds no certificates ({_reason(error)}); give a PEM file"
    try:
        tls_context(kafka)
    except OSError as error:
        names = f"{_name('ssl_certificate_file')}, {_name('ssl_key_file')} and {_name('ssl_key_password')}"
        return f"{names} do not belong together ({_reason(error)}); give a certificate, its key and the key's password"
    return None


def _unauthenticated(kafka: KafkaSettings, said: str) -> str:
    if "mechanism handshake failed" in said:
        _, _, offered = said.rpartition("supported mechanisms: ")
        return (
            f"the brokers do not take {kafka.sasl_mechanism}; set {_name('sasl_mechanism')} to one they take: "
            f"{offered.partition(' (after')[0]}"
        )
    return (
        f"the brokers refuse user {kafka.sasl_username!r} with this password ({kafka.sasl_mechanism}); check "
        f"{_name('sasl_username')} and {_name('sasl_password')}"
    )


def _shaken_hands(kafka: KafkaSettings) -> str | None:
    """Raises OSError when nobody is there, or nobody says anything; ValueError for what is no address."""
    first = urlsplit(f"//{kafka.bootstrap_servers.split(',')[0].strip()}")
    host, port = first.hostname or "", first.port or _DEFAULT_PORT
    context = tls_context(kafka)
    with socket.create_connection((host, port), _PATIENCE_S) as connection:
        if context is None:
            return _speaks_tls(connection)
        try:
            with context.wrap_socket(connection, server_hostname=host) as secured:
                secured.settimeout(_HEARS_OF_REFUSAL_S)
                # what a server makes of a client's certificate comes with its first bytes, not with the handshake
                secured.recv(1)
        except ssl.SSLCertVerificationError as error:
            return distrust(error, _name("ssl_ca_file"))
        except (ssl.SSLError, ConnectionError) as error:
            return _other_terms(error)
    return None


def _other_terms(error: OSError) -> str:
    if "certificate" in str(error):
        names = f"{_name('ssl_certificate_file')} and {_name('ssl_key_file')}"
        return f"it wants a certificate of ours that it trusts; give one with {names}"
    return f"it does not speak TLS on this port; use another port, or set {_name('security_protocol')}"


def _speaks_tls(connection: socket.socket) -> str | None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # only to learn that there is TLS: nothing is sent
    try:
        with context.wrap_socket(connection):
            return f"it speaks TLS on this port; set {_name('security_protocol')} to SASL_SSL or SSL"
    except OSError:
        return None


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _name(field: str) -> str:
    return variable(KafkaSettings, field)

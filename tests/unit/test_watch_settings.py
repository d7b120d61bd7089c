"""Settings are refused with a sentence, and Faust is set up so that it keeps promises and opens no port."""

from pathlib import Path

import faust
import pytest
from faust.types.enums import ProcessingGuarantee
from pydantic import SecretStr, ValidationError

from streams.settings import KafkaSettings
from streams.watch.connection import credentials, faust_app
from streams.watch.settings import WatchSettings


def test_a_breaker_that_closes_within_a_bucket_is_refused() -> None:
    with pytest.raises(ValidationError, match="make it at least 10"):
        WatchSettings(window_s=60, open_s=9)

    assert WatchSettings(window_s=60, open_s=10).thresholds.open_ms == 10_000


def test_faust_opens_no_port_promises_no_more_than_it_keeps_and_stays_within_the_group_prefix(tmp_path: Path) -> None:
    kafka = KafkaSettings(bootstrap_servers="one:9092, two:9092", group_prefix="test7.", partitions=5, replication=3)

    conf = faust_app(kafka, WatchSettings(data_dir=tmp_path)).conf

    assert conf.id == "test7.watch"
    assert [str(url) for url in conf.broker] == ["kafka://one:9092", "kafka://two:9092"]
    assert conf.web_enabled is False
    assert conf.processing_guarantee is ProcessingGuarantee.AT_LEAST_ONCE
    assert (conf.topic_partitions, conf.topic_replication_factor) == (5, 3)
    assert conf.datadir == tmp_path
    assert conf.producer_acks == -1


def test_without_protection_there_are_no_credentials() -> None:
    assert credentials(KafkaSettings()) is None


def test_a_password_is_used_over_the_protocol_that_is_set() -> None:
    kafka = KafkaSettings(
        security_protocol="SASL_PLAINTEXT", sasl_username="millrace", sasl_password=SecretStr("canary-7")
    )

    found = credentials(kafka)

    assert isinstance(found, faust.SASLCredentials)
    assert (found.username, found.password) == ("millrace", "canary-7")
    assert (found.mechanism.value, found.protocol.value) == ("SCRAM-SHA-512", "SASL_PLAINTEXT")
    assert "canary-7" not in repr(found)


def test_a_password_over_tls_is_sent_over_tls() -> None:
    found = credentials(
        KafkaSettings(
            security_protocol="SASL_SSL", sasl_mechanism="PLAIN", sasl_username="watch", sasl_password=SecretStr("pw")
        )
    )

    assert isinstance(found, faust.SASLCredentials)
    assert (found.mechanism.value, found.protocol.value) == ("PLAIN", "SASL_SSL")
    assert found.ssl_context is not None


def test_tls_alone_needs_no_password() -> None:
    found = credentials(KafkaSettings(security_protocol="SSL"))

    assert isinstance(found, faust.SSLCredentials)
    assert found.context.check_hostname


def test_a_certificate_that_is_none_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("not a certificate")

    with pytest.raises(OSError, match="certificate"):
        credentials(KafkaSettings(security_protocol="SSL", ssl_ca_file=tmp_path / "ca.pem"))

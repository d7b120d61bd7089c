"""Why brokers cannot be reached, where nobody need be asked."""

import pytest

from scripts.cli.kafka_refusal import refusal
from streams.settings import KafkaSettings


@pytest.mark.parametrize("servers", ["kafka:port", "[::1", "kafka:99999999"])
def test_what_is_no_address_is_not_called_and_brings_no_command_down(servers: str) -> None:
    assert refusal(KafkaSettings(bootstrap_servers=servers), []) is None

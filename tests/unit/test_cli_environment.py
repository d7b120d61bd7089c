"""Where a command finds the addresses of what it talks to."""

from pathlib import Path

import pytest
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from scripts.cli.environment import RUN_ENV, load, secrets_environment, variable
from scripts.cli.fault import Fault
from scripts.stack.settings import StackSettings
from streams.settings import KafkaSettings

SERVERS = "MILLRACE_KAFKA_BOOTSTRAP_SERVERS"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(SERVERS, raising=False)


def running_stack(text: str) -> None:
    RUN_ENV.parent.mkdir(parents=True)
    RUN_ENV.write_text(text)


def test_without_a_stack_here_the_defaults_hold() -> None:
    assert load(KafkaSettings).bootstrap_servers == "127.0.0.1:9092"


def test_a_stack_that_runs_here_is_found() -> None:
    running_stack(f"{SERVERS}=127.0.0.1:1234\nMILLRACE_CLICKHOUSE_PORT=4321\n")
    assert load(KafkaSettings).bootstrap_servers == "127.0.0.1:1234"


def test_the_environment_wins_over_the_stack_that_runs_here(monkeypatch: pytest.MonkeyPatch) -> None:
    running_stack(f"{SERVERS}=127.0.0.1:1234\n")
    monkeypatch.setenv(SERVERS, "kafka:9092")
    assert load(KafkaSettings).bootstrap_servers == "kafka:9092"


def test_an_option_wins_over_everything_and_one_not_given_over_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SERVERS, "kafka:9092")
    assert load(KafkaSettings, bootstrap_servers="other:1").bootstrap_servers == "other:1"
    assert load(KafkaSettings, bootstrap_servers=None).bootstrap_servers == "kafka:9092"


def test_provider_keys_come_from_the_environment_first(monkeypatch: pytest.MonkeyPatch) -> None:
    running_stack("OPENAI_API_KEY=of-the-stack\nANTHROPIC_API_KEY=of-the-stack\n")
    monkeypatch.setenv("OPENAI_API_KEY", "of-the-shell")
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    found = secrets_environment()
    assert (found["OPENAI_API_KEY"], found["ANTHROPIC_API_KEY"]) == ("of-the-shell", "of-the-stack")


class SecretiveSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="MILLRACE_SECRETIVE_")

    password: SecretStr = Field(default=SecretStr(""), min_length=12)


def test_a_complaint_names_the_variable_and_never_what_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_SECRETIVE_PASSWORD", "hunter2")
    with pytest.raises(Fault) as refused:
        load(SecretiveSettings)
    assert str(refused.value).startswith("MILLRACE_SECRETIVE_PASSWORD: ")
    assert "hunter2" not in str(refused.value)


def test_a_variable_without_our_prefix_is_known_by_its_own_name() -> None:
    assert variable(StackSettings, "cache_home") == "XDG_CACHE_HOME"
    assert variable(KafkaSettings, "sasl_username") == "MILLRACE_KAFKA_SASL_USERNAME"

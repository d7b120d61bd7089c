"""The sink is told where ClickHouse is by its environment, and keeps the password to itself."""

import pytest
from pydantic import ValidationError

from sinks.settings import ClickHouseSettings


def test_every_setting_is_read_from_its_own_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_CLICKHOUSE_HOST", "clickhouse.internal")
    monkeypatch.setenv("MILLRACE_CLICKHOUSE_PORT", "8443")
    monkeypatch.setenv("MILLRACE_CLICKHOUSE_SECURE", "true")
    monkeypatch.setenv("MILLRACE_CLICKHOUSE_RETENTION_DAYS", "30")
    settings = ClickHouseSettings()
    assert (settings.host, settings.port, settings.secure, settings.retention_days) == (
        "clickhouse.internal",
        8443,
        True,
        30,
    )


def test_the_defaults_are_the_embedded_database_and_400_days() -> None:
    settings = ClickHouseSettings()
    assert (settings.host, settings.database, settings.retention_days) == ("127.0.0.1", "millrace", 400)


def test_the_password_is_in_no_text_about_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_CLICKHOUSE_PASSWORD", "canary-secret")
    settings = ClickHouseSettings()
    assert settings.password.get_secret_value() == "canary-secret"
    assert "canary-secret" not in f"{settings!r} {settings} {settings.model_dump_json()}"


@pytest.mark.parametrize("database", ["", "a b", "a;DROP", "x`y", "1a", "a.b"])
def test_a_database_whose_name_would_need_quoting_is_refused(database: str) -> None:
    with pytest.raises(ValidationError, match="database"):
        ClickHouseSettings(database=database)


def test_every_setting_is_described() -> None:
    assert [name for name, field in ClickHouseSettings.model_fields.items() if not field.description] == []

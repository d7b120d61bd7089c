"""A provider's key is found by its reference, the file before the environment, and never shown."""

from pathlib import Path

from streams.provider_keys import ProviderKeys


def test_a_file_wins_over_the_environment(tmp_path: Path) -> None:
    (tmp_path / "openai_api_key").write_text("from-file\n")
    found = ProviderKeys(tmp_path, {"OPENAI_API_KEY": "from-environment"}).secret("openai_api_key")
    assert found is not None
    assert found.get_secret_value() == "from-file"
    assert "from-file" not in f"{found!r}{found}"


def test_a_file_that_is_replaced_is_the_key_from_then_on(tmp_path: Path) -> None:
    keys = ProviderKeys(tmp_path, {})
    assert keys.secret("k") is None
    for value in ("first", "second"):
        (tmp_path / "k").write_text(value)
        found = keys.secret("k")
        assert found is not None
        assert found.get_secret_value() == value


def test_an_empty_file_or_variable_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "k").write_text("\n")
    assert ProviderKeys(tmp_path, {"K": " "}).secret("k") is None
    assert ProviderKeys(None, {}).secret("k") is None

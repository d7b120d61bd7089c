"""A provider's key is found by its reference, the file before the environment, and never shown."""

from pathlib import Path

import pytest

from streams.provider_keys import ProviderKeys
from streams.providers.protocol import Misconfigured, Question
from streams.providers.registry import Registry
from tests.unit.examples import deployment, prompt


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


def test_a_file_that_cannot_be_read_is_no_key_and_the_environment_does_not_stand_in(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "below_a_file").symlink_to(tmp_path / "binary" / "key")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    names = ("folder", "binary", "below_a_file", "circle")
    keys = ProviderKeys(tmp_path, {name.upper(): "from-environment" for name in names})

    assert [keys.secret(name) for name in names] == [None] * len(names)


@pytest.mark.asyncio
async def test_a_deployment_whose_key_cannot_be_read_is_misconfigured_and_the_key_named(tmp_path: Path) -> None:
    (tmp_path / "openai_api_key").mkdir()
    providers = Registry(ProviderKeys(tmp_path, {"OPENAI_API_KEY": "from-environment"}))
    question = Question("a-1", "m", prompt("Hi."), stream=False, timeout_ms=1_000)

    with pytest.raises(Misconfigured, match="openai_api_key"):
        await providers.ask(deployment(), question)

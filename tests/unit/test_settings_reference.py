"""The configuration reference is made of the settings classes and is never behind them."""

import ast
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from scripts.settings_reference import COMMAND, PACKAGES, REFERENCE, reference, section, settings_classes, write

ROOT = Path(__file__).parents[2]


def test_the_committed_reference_is_what_the_classes_say() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == reference(), f"run: {COMMAND}"


def test_writing_it_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "docs" / "configuration.md"
    assert write(path)
    assert not write(path)


def test_every_settings_class_of_the_project_is_in_it() -> None:
    found = {
        node.name
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and any("BaseSettings" in ast.unparse(base) for base in node.bases)
    }
    assert found == {each.__name__ for each in settings_classes()}


@pytest.mark.parametrize("settings", settings_classes(), ids=lambda each: each.__name__)
def test_every_setting_is_described_and_no_setting_can_be_changed(settings: type[BaseSettings]) -> None:
    assert [name for name, field in settings.model_fields.items() if not field.description] == []
    assert settings.model_config.get("frozen") is True


class ExampleSettings(BaseSettings):
    """What an example needs."""

    model_config = SettingsConfigDict(env_prefix="EXAMPLE_")

    mode: Literal["fast", "slow"] = Field(default="slow", description="How.")
    share: Annotated[float, Field(gt=0, le=1)] = Field(default=0.5, description="Part | whole.")
    most: Annotated[int, Field(ge=1, le=20_000)] | None = Field(default=None, description="At most.")
    password: SecretStr = Field(default=SecretStr("canary"), description="Secret.")
    names: tuple[str, ...] = Field(default=(), description="Whom.")
    verbose: bool = Field(default=False, description="Say more.")
    folder: Path = Field(description="Where.")


def test_a_row_tells_variable_type_bounds_default_and_meaning() -> None:
    rows = [line for line in section(ExampleSettings).splitlines() if line.startswith("| `")]
    assert rows == [
        "| `EXAMPLE_MODE` | `fast` or `slow` | `slow` | How. |",
        "| `EXAMPLE_SHARE` | number, > 0, ≤ 1 | `0.5` | Part \\| whole. |",
        "| `EXAMPLE_MOST` | whole number, ≥ 1, ≤ 20 000 | none | At most. |",
        "| `EXAMPLE_PASSWORD` | secret | `**********` | Secret. |",
        "| `EXAMPLE_NAMES` | JSON list of text | none | Whom. |",
        "| `EXAMPLE_VERBOSE` | true or false | `false` | Say more. |",
        "| `EXAMPLE_FOLDER` | path | required | Where. |",
    ]

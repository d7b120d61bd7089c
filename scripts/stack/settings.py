"""Where the embedded stack keeps what it fetched, and from where it fetches: the only environment it reads."""

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from scripts.stack.errors import StackError


class StackSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="MILLRACE_", frozen=True, extra="ignore")

    cache_home: Path | None = Field(
        default=None,
        validation_alias="XDG_CACHE_HOME",
        description="Parent of the `millrace` cache directory; `~/.cache` when unset.",
    )
    maven_mirror: str | None = Field(
        default=None,
        description="Base URL of a Maven repository to fetch the Kafka jars from instead of Maven Central. "
        "Their SHA-256 is pinned, so the mirror need not be trusted.",
    )

    @field_validator("cache_home", "maven_mirror", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @property
    def cache(self) -> Path:
        """Directory of everything Millrace caches. Raises StackError when there is no home to put it in."""
        if self.cache_home is not None and self.cache_home.is_absolute():
            return self.cache_home / "millrace"
        try:
            return Path.home() / ".cache" / "millrace"
        except RuntimeError as error:
            raise StackError("this user has no home directory: set XDG_CACHE_HOME to a writable directory") from error

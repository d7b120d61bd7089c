"""Provider keys by reference. Only `invoke` reads them, each time anew, so a key can be replaced without a restart."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from streams.observe.logs import logger

log = logger(__name__)
MOST_BYTES = 64 * 1024
"""Of a file with a key in it."""


class ProviderKeys:
    """`key_ref` is a file of that name in the secrets folder, or else the environment variable in capitals.

    A file that cannot be read is no key, whatever the environment holds.
    """

    def __init__(self, folder: Path | None, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment

    def secret(self, key_ref: str) -> SecretStr | None:
        try:
            value = self._file(key_ref) or self._environment.get(key_ref.upper(), "").strip()
        except (OSError, UnicodeDecodeError) as problem:
            # Not the environment's: whoever put the file there means it, and another key bills another account.
            log.error("key_unreadable", key_ref=key_ref, problem=type(problem).__name__)
            return None
        return SecretStr(value) if value else None

    def _file(self, key_ref: str) -> str:
        """Empty where there is none: an empty file is a key that has not been given yet."""
        if self._folder is None:
            return ""
        try:
            return _content(self._folder / key_ref).decode().strip()
        except FileNotFoundError:
            return ""


def _content(path: Path) -> bytes:
    """Asked for at every call: what Python's files would do beyond this takes twice as long as this."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(file, MOST_BYTES)
    finally:
        os.close(file)


def process_environment() -> Mapping[str, str]:
    """The names of keys come from the configuration topic, so they cannot be fields of a settings class."""
    return os.environ  # noqa: TID251  # see above

"""Settings for a command: from the environment, and where it says nothing, from the stack that runs here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from dotenv import dotenv_values
from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsError

from scripts.cli.fault import Fault
from streams.provider_keys import process_environment

RUN_ENV = Path(".millrace/run/env")
"""Written by `millrace up`: KEY=value lines with the addresses of what it has started."""

S = TypeVar("S", bound=BaseSettings)


def load(settings: type[S], **given: Any) -> S:
    """`given` wins over the environment, and that over RUN_ENV. Raises Fault naming the variable."""
    try:
        return settings(_env_file=RUN_ENV, **{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise Fault("; ".join(_complaints(settings, error))) from error
    except SettingsError as error:
        raise Fault(str(error)) from error


def variable(settings: type[BaseSettings], field: str) -> str:
    """The environment variable of a field."""
    alias = settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else f"{settings.model_config.get('env_prefix', '')}{field}".upper()


def secrets_environment() -> Mapping[str, str]:
    """Where provider keys are looked up: the process's environment, then RUN_ENV."""
    local = {name: value for name, value in dotenv_values(RUN_ENV).items() if value is not None}
    return {**local, **process_environment()}


def _complaints(settings: type[BaseSettings], error: ValidationError) -> list[str]:
    """Names the variable and never its value, which may be a password."""
    return [
        f"{_where(settings, problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors(include_url=False, include_input=False)
    ]


def _where(settings: type[BaseSettings], location: tuple[int | str, ...]) -> str:
    if not location:
        return settings.__name__
    field = str(location[0])
    return variable(settings, field) if field in settings.model_fields else field

"""`python -m scripts.settings_reference` writes docs/configuration.md from the settings classes of every part."""

import pkgutil
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from scripts.cli.environment import variable

REFERENCE = Path(__file__).parent.parent / "docs" / "configuration.md"
COMMAND = "python -m scripts.settings_reference"
PACKAGES = ("streams", "sinks", "scripts")

_HEAD = f"""# Configuration

<!-- Written by `{COMMAND}`: change the settings classes and run it again. -->

Two things configure Millrace. What the gateway does (tenants, deployments, routes) is events on the topic
`llm.control`, written with `millrace config apply FILE`; `compose/config/millrace.toml` is a sample. Where a process
finds others, and how hard it works, is environment variables, read once when it starts: these are all of them.

The `millrace` command takes what is not set from `.millrace/run/env` in the working directory (`KEY=value` lines,
written by `millrace up`), so that it finds a stack that runs there. Provider keys are no settings: a deployment's
`key_ref` names a file in `MILLRACE_INVOKE_SECRETS_DIR`, or else an environment variable in capitals.
"""
_WORDS: Mapping[Any, str] = MappingProxyType(
    {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path", SecretStr: "secret"}
)
_BOUNDS = {"ge": "≥ {}", "gt": "> {}", "le": "≤ {}", "lt": "< {}", "multiple_of": "multiple of {}", "pattern": "`{}`"}


@cache
def settings_classes() -> tuple[type[BaseSettings], ...]:
    """All that modules named `settings` define, in the order of their names."""
    modules = [
        import_module(found.name)
        for package in PACKAGES
        for found in pkgutil.walk_packages(import_module(package).__path__, f"{package}.")
        if found.name.endswith(".settings")
    ]
    return tuple(
        value
        for module in sorted(modules, key=lambda each: PACKAGES.index(each.__name__.partition(".")[0]))
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, BaseSettings) and value.__module__ == module.__name__
    )


def reference() -> str:
    return "\n".join([_HEAD, *(section(each) for each in settings_classes())])


def section(settings: type[BaseSettings]) -> str:
    """A heading, what the class is for, and a row for each variable."""
    module = sys.modules[settings.__module__]
    # a module with one class says itself what it is for
    alone = sum(each.__module__ == settings.__module__ for each in settings_classes()) == 1
    purpose = (module.__doc__ if alone else settings.__doc__) or ""
    rows = [_row(settings, name, field) for name, field in settings.model_fields.items()]
    head = "| variable | type | default | meaning |\n|---|---|---|---|"
    return f"## {settings.__name__}\n\n{' '.join(purpose.split())}\n\n{head}\n" + "\n".join(rows) + "\n"


def _row(settings: type[BaseSettings], name: str, field: FieldInfo) -> str:
    cells = (f"`{variable(settings, name)}`", _type(field), _default(field), field.description or "")
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _type(field: FieldInfo) -> str:
    return ", ".join([_named(field.annotation), *_bounds(field.metadata)])


def _named(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return ", ".join([_named(arguments[0]), *_bounds(arguments[1:])])
    if origin is Literal:
        return " or ".join(f"`{each}`" for each in arguments)
    if origin in (Union, UnionType):
        return " or ".join(_named(each) for each in arguments if each is not NoneType)
    if origin is tuple:
        return f"JSON list of {_named(arguments[0])}"
    return _WORDS[annotation]


def _bounds(metadata: Any) -> Iterator[str]:
    """The limits pydantic enforces, whether they stand alone or in a FieldInfo."""
    for each in metadata:
        if isinstance(each, FieldInfo):
            yield from _bounds(each.metadata)
            continue
        for name, form in _BOUNDS.items():
            bound = getattr(each, name, None)
            if bound is not None:
                yield form.format(f"{bound:,}".replace(",", " ") if isinstance(bound, int) else bound)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value == () or (isinstance(value, SecretStr) and not value.get_secret_value()):
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def write(path: Path) -> bool:
    """Whether the file had to be changed."""
    text = reference()
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return True


if __name__ == "__main__":
    sys.stdout.write(f"{REFERENCE.name} {'written' if write(REFERENCE) else 'is up to date'}\n")

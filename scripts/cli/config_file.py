"""A configuration file (TOML) as control objects: `[[tenant]]`, `[[deployment]]`, `[[route]]`, `[[price]]` and
`[[budget]]` tables, all checked before any is used. `${name}` and `${name:-default}` in a text are filled in from what
the caller gives, and from nothing else: no file can reach into the environment.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, cast

from pydantic import ValidationError

from schemas.complaint import complaint
from schemas.control import Deployment, Route, Tenant, control_key
from schemas.money import Budget, Price
from scripts.cli.config_diff import ConfigObject
from scripts.cli.fault import Fault

_MODELS: Mapping[str, type[ConfigObject]] = MappingProxyType(
    {"tenant": Tenant, "deployment": Deployment, "route": Route, "price": Price, "budget": Budget}
)
_PLACEHOLDER = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")


class _NotGiven(Exception):
    """A placeholder without a value. Its argument is the name."""


def parse(text: str, file: str, given: Mapping[str, str]) -> tuple[ConfigObject, ...]:
    """Every object of the file, in its order. Raises Fault with all problems, each naming file, object and field."""
    try:
        return _parsed(text, file, given)
    except RecursionError:
        raise Fault(f"{file} is nested too deeply to be a configuration") from None


def _parsed(text: str, file: str, given: Mapping[str, str]) -> tuple[ConfigObject, ...]:
    try:
        document = tomllib.loads(text)
    except ValueError as error:  # TOML's own error is one, and so is that of a number with too many digits
        raise Fault(f"{file} is not readable TOML: {error}") from None
    objects: list[ConfigObject] = []
    problems = [*_unused(text, given)]
    for kind, table in _tables(document, problems):
        try:
            read = _object(kind, table, given)
            objects.append(read)
            problems += (f"{_title(kind, table)}: {each}" for each in _misread(table, read.model_dump()))
        except _NotGiven as missing:
            problems.append(f"{_title(kind, table)}: ${{{missing}}} has no value; give one with --set {missing}=…")
        except ValidationError as error:
            problems.append(f"{_title(kind, table)}: {complaint(error, _MODELS[kind]).message}")
    problems += _repeated(objects)
    if problems:
        raise Fault("\n".join(f"{file}: {problem}" for problem in problems))
    return tuple(objects)


def _object(kind: str, table: Mapping[str, Any], given: Mapping[str, str]) -> ConfigObject:
    return _MODELS[kind].model_validate(_filled(dict(table), given))


def _misread(said: Any, read: Any, field: str = "") -> Iterator[str]:
    """A number is no switch, nor the other way round, although Python would take true for 1."""
    match said, read:
        case dict(), dict():
            found = cast("dict[str, Any]", read)
            for key, value in cast("dict[str, Any]", said).items():
                yield from _misread(value, found.get(key), f"{field}.{key}" if field else key)
        case list(), list() | tuple():
            for at, (value, of_it) in enumerate(zip(cast("list[Any]", said), cast("list[Any]", read), strict=False)):
                yield from _misread(value, of_it, f"{field}.{at}")
        case bool(), int() | float() if not isinstance(read, bool):
            yield f"{field} must be a number, not {str(said).lower()}"
        case int() | float(), bool() if not isinstance(said, bool):
            yield f"{field} must be true or false, not {said}"
        case _:
            pass


def _tables(document: Mapping[str, Any], problems: list[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for kind, value in document.items():
        if kind not in _MODELS:
            meant = get_close_matches(kind, _MODELS, n=1)
            known = f"did you mean {meant[0]}?" if meant else f"a file holds {', '.join(_MODELS)}"
            problems.append(f"{kind} is not known: {known}")
        elif isinstance(value, list) and all(isinstance(each, dict) for each in cast("list[Any]", value)):
            yield from ((kind, table) for table in cast("list[dict[str, Any]]", value))
        else:
            problems.append(f"{kind} must be written [[{kind}]], with two brackets: there can be several")


def _title(kind: str, table: Mapping[str, Any]) -> str:
    name = table.get("name")
    return f"{kind} {name}" if isinstance(name, str) else f"{kind} without a name"


def _filled(value: Any, given: Mapping[str, str]) -> Any:
    match value:
        case str():
            return _PLACEHOLDER.sub(lambda found: _given(found, given), value)
        case list():
            return [_filled(each, given) for each in cast("list[Any]", value)]
        case dict():
            return {key: _filled(each, given) for key, each in cast("dict[str, Any]", value).items()}
        case _:
            return value


def _given(found: re.Match[str], given: Mapping[str, str]) -> str:
    name, default = found.groups()
    if name not in given and default is None:
        raise _NotGiven(name)
    return given.get(name, default)


def _unused(text: str, given: Mapping[str, str]) -> Iterator[str]:
    known = {found["name"] for found in _PLACEHOLDER.finditer(text)}
    for name in given:
        if name not in known:
            asks = f"it asks for {', '.join(sorted(known))}" if known else "it asks for no value"
            yield f"nothing in it uses --set {name}; {asks}"


def _repeated(objects: list[ConfigObject]) -> Iterator[str]:
    seen: set[str] = set()
    for each in objects:
        key = control_key(each)
        if key in seen:
            yield f"{each.kind} {each.name} is there twice: keep one"
        seen.add(key)

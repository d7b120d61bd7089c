"""What was once written must be readable for ever: golden events of every schema version, and what they must cover."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast, get_args

import jsonschema_rs
import orjson
import pytest
from msgspec import Raw, Struct

from schemas.base import Event, Model
from schemas.call import Phase
from schemas.export import EXPORTED
from schemas.json_schema import contracts
from schemas.response import Status
from schemas.wire import InternalEvent
from streams.questions import prompt_of

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = sorted(GOLDEN.glob("v*/*.json"))
CONTRACTS = contracts()

each_golden = pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")


def kind_of(path: Path) -> str:
    return path.name.partition(".")[0]


def parse(path: Path) -> Event:
    return CONTRACTS[kind_of(path)].events.decode(path.read_bytes())


def encoded(event: Event) -> Any:
    return orjson.loads(event.encode())


def lost(before: Any, after: Any, where: str = "") -> list[str]:
    """Paths at which `after` no longer says what `before` said; it may say more."""
    if isinstance(before, dict) and isinstance(after, dict):
        old, new = cast("dict[str, Any]", before), cast("dict[str, Any]", after)
        return [path for key in old for path in lost(old[key], new.get(key, "(gone)"), f"{where}.{key}")]
    if isinstance(before, list) and isinstance(after, list):
        old_items, new_items = cast("list[Any]", before), cast("list[Any]", after)
        if len(old_items) == len(new_items):
            pairs = enumerate(zip(old_items, new_items, strict=True))
            return [path for index, (old, new) in pairs for path in lost(old, new, f"{where}.{index}")]
    return [] if before == after else [where]


def shown_fields(value: Any, said: Any) -> Iterator[tuple[type[Event], str]]:
    """Every (kind, field) that an event states instead of leaving it to a default. `said` is its JSON: a struct does
    not know what it was told.
    """
    if isinstance(value, Raw):
        yield from shown_fields(prompt_of(value), said)
    elif isinstance(value, Model):
        for name in value.model_fields_set:
            yield type(value), name
            yield from shown_fields(getattr(value, name), None)
    elif isinstance(value, InternalEvent):
        for name in said.keys() & set(value.__struct_fields__):
            yield type(value), name
            yield from shown_fields(getattr(value, name), said[name])
    elif isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            yield from shown_fields(item, said and said[key])
    elif isinstance(value, tuple | list):
        for number, item in enumerate(cast("list[Any]", value)):
            yield from shown_fields(item, said and said[number])


def fields_of(kind: type[Event]) -> set[str]:
    return set(kind.model_fields) if issubclass(kind, Model) else set(cast("type[Struct]", kind).__struct_fields__)


@each_golden
def test_a_golden_event_still_parses_and_keeps_all_it_said(path: Path) -> None:
    event = parse(path)
    assert CONTRACTS[kind_of(path)].schema["title"] == type(event).__name__
    assert lost(orjson.loads(path.read_bytes()), encoded(event)) == []


@each_golden
def test_a_golden_event_and_what_we_make_of_it_satisfy_the_published_schema(path: Path) -> None:
    schema = orjson.loads((EXPORTED / f"{kind_of(path)}.schema.json").read_bytes())
    validator = jsonschema_rs.validator_for(schema)
    assert [str(error) for error in validator.iter_errors(orjson.loads(path.read_bytes()))] == []
    assert [str(error) for error in validator.iter_errors(encoded(parse(path)))] == []


@each_golden
def test_a_golden_event_lies_in_the_folder_of_its_version(path: Path) -> None:
    version = orjson.loads(path.read_bytes()).get("schema_version", 1)
    assert path.parent.name == f"v{version}"


def test_every_kind_of_event_has_a_golden_event() -> None:
    assert {kind_of(path) for path in FILES} == set(CONTRACTS)


def test_every_field_of_every_event_is_stated_by_a_golden_event() -> None:
    shown: dict[type[Event], set[str]] = defaultdict(set)
    for path in FILES:
        for kind, field in shown_fields(parse(path), orjson.loads(path.read_bytes())):
            shown[kind].add(field)
    unseen = [f"{kind.__name__}.{field}" for kind in shown for field in fields_of(kind) - shown[kind]]
    assert not unseen, f"add a golden event to tests/golden/ that states {', '.join(sorted(unseen))}"


def test_every_status_of_a_response_and_every_phase_of_a_row_has_a_golden_event() -> None:
    found = [orjson.loads(path.read_bytes()) for path in FILES]
    assert {event.get("status") for event in found} >= set(get_args(Status))
    assert {event.get("phase") for event in found} >= set(get_args(Phase))
    assert any(event.get("attempt_no") == 0 for event in found)


def test_a_value_that_changed_or_went_is_noticed() -> None:
    before = {"a": 1, "b": [{"c": "x"}], "d": None}
    assert lost(before, {"a": 1, "b": [{"c": "x", "new": 0}], "d": None, "e": 2}) == []
    assert lost(before, {"a": 2, "b": [{"c": "y"}]}) == [".a", ".b.0.c", ".d"]

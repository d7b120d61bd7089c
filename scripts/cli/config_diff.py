"""What applying a configuration would change: only what differs is ever written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import assert_never

from schemas.base import dump_json
from schemas.control import Deployment, Route, Tenant, control_key
from schemas.money import Budget, Price
from streams.control import ControlView, with_object, without_object

ConfigObject = Tenant | Deployment | Route | Price | Budget


@dataclass(frozen=True, slots=True)
class Added:
    object: ConfigObject


@dataclass(frozen=True, slots=True)
class Changed:
    before: ConfigObject
    object: ConfigObject


@dataclass(frozen=True, slots=True)
class Removed:
    object: ConfigObject


Change = Added | Changed | Removed


def configured(view: ControlView) -> dict[str, ConfigObject]:
    """By key. Breakers and stops are not configuration, `watch` owns them; and overrides are an operator's word."""
    prices = (priced.price for priced in view.prices.values())
    objects = (
        *view.deployments.values(),
        *view.tenants.values(),
        *view.routes.values(),
        *prices,
        *view.budgets.values(),
    )
    return {control_key(each): each for each in objects}


def changes(view: ControlView, wanted: Iterable[ConfigObject], *, prune: bool) -> tuple[Change, ...]:
    """In the order in which they may be written one by one: no route ever names a deployment that is not there."""
    there = configured(view)
    kept: set[str] = set()
    written: list[Change] = []
    for each in sorted(wanted, key=_rank):
        key = control_key(each)
        kept.add(key)
        before = there.get(key)
        if before is None:
            written.append(Added(each))
        elif before != each:
            written.append(Changed(before, each))
    gone = [each for key, each in there.items() if key not in kept] if prune else []
    return (*written, *(Removed(each) for each in sorted(gone, key=_rank, reverse=True)))


_KINDS = ("deployment", "tenant", "route", "price", "budget")


def _rank(each: ConfigObject) -> tuple[int, str]:
    return _KINDS.index(each.kind), each.name


def applied(view: ControlView, changed: Sequence[Change]) -> ControlView:
    """The view after the changes."""
    for change in changed:
        match change:
            case Added(each) | Changed(_, each):
                view = with_object(view, each, view.version)
            case Removed(each):
                view = without_object(view, control_key(each), view.version)
            case _ as unreachable:
                assert_never(unreachable)
    return view


def described(change: Change) -> tuple[str, str, str]:
    """The change, its object, and which fields it touches with what they were and will be."""
    match change:
        case Added(each):
            return "add", control_key(each), summary(each)
        case Changed(before, each):
            return "change", control_key(each), _difference(before, each)
        case Removed(each):
            return "remove", control_key(each), ""
        case _ as unreachable:
            assert_never(unreachable)


def summary(each: ConfigObject) -> str:
    """The fields that are not left at their defaults."""
    return ", ".join(f"{field}={value}" for field, value in _given(each).items())


def _difference(before: ConfigObject, after: ConfigObject) -> str:
    old, new = _given(before), _given(after)
    touched = [field for field in type(after).model_fields if getattr(before, field) != getattr(after, field)]
    return ", ".join(f"{field}: {old.get(field, 'default')} -> {new.get(field, 'default')}" for field in touched)


def _given(each: ConfigObject) -> dict[str, str]:
    """Each on one line. A key's hash is shown by its beginning: enough to tell two apart."""
    fields = each.model_dump(mode="json", exclude={"kind", "name"}, exclude_defaults=True)
    if "key_sha256" in fields:
        fields["key_sha256"] = [f"{digest[:8]}…" for digest in fields["key_sha256"]]
    return {field: dump_json(value).decode() for field, value in fields.items()}

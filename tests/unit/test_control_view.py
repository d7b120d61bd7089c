"""The configuration is the newest readable state of each object, and a view once taken never changes."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.control import Breaker, Deployment, Route, Tenant, control_key
from schemas.routing import Latency
from streams.control import ControlView, with_object
from streams.routes import choose_route
from streams.runtime.follower import apply_record
from tests.unit.examples import NOW_MS, breaker, control, deployment, latency, route, tenant, ticket

ConfigObject = Tenant | Deployment | Route | Breaker | Latency

OBJECTS: tuple[ConfigObject, ...] = (tenant(), deployment(), route(), breaker(until_ms=NOW_MS), latency())


def applied(view: ControlView, each: ConfigObject, offset: int) -> ControlView:
    return apply_record(view, control_key(each).encode(), each.encode(), offset)


def named(view: ControlView) -> dict[str, Any]:
    return {
        "tenant": view.tenants,
        "deployment": view.deployments,
        "route": view.routes,
        "breaker": view.breakers,
        "latency": view.latencies,
    }


@pytest.mark.parametrize("each", OBJECTS, ids=lambda each: each.kind)
def test_an_object_is_known_by_its_kind_and_name_from_its_record_on(each: ConfigObject) -> None:
    view = applied(ControlView(), each, 41)

    assert named(view)[each.kind] == {each.name: each}
    assert view.version == 41


@pytest.mark.parametrize("each", OBJECTS, ids=lambda each: each.kind)
@pytest.mark.parametrize("value", [None, b""])
def test_a_tombstone_takes_its_object_away_and_no_other(each: ConfigObject, value: bytes | None) -> None:
    full = ControlView()
    for offset, every in enumerate(OBJECTS):
        full = applied(full, every, offset)

    view = apply_record(full, control_key(each).encode(), value, 50)

    assert view.version == 50
    for kind, objects in named(view).items():
        assert objects == ({} if kind == each.kind else named(full)[kind])


def test_a_later_record_replaces_an_earlier_one_of_the_same_object() -> None:
    view = applied(applied(ControlView(), tenant(), 1), tenant(enabled=False), 2)

    assert [each.enabled for each in view.tenants.values()] == [False]


@pytest.mark.parametrize("value", [b"not json", b"{}", b'{"kind":"tenant"}', b"\xff", b'{"kind":"flag","name":"x"}'])
@pytest.mark.parametrize("key", [None, b"", b"tenant/acme", b"\xff"])
def test_a_record_that_cannot_be_read_leaves_the_last_good_state_in_force(key: bytes | None, value: bytes) -> None:
    before = applied(ControlView(), tenant(), 1)

    assert apply_record(before, key, value, 2) is before


@pytest.mark.parametrize("key", [None, b"", b"acme", b"flag/x", b"tenant/unheard-of", b"\xff"])
def test_a_tombstone_for_nothing_takes_nothing_away(key: bytes | None) -> None:
    before = control()

    view = apply_record(before, key, None, 60)

    assert named(view) == named(before)
    assert view.version == 60


@settings(deadline=None)
@given(changes=st.lists(st.tuples(st.sampled_from(OBJECTS), st.booleans()), max_size=12))
def test_a_view_that_was_taken_stays_as_it_was(changes: list[tuple[ConfigObject, bool]]) -> None:
    taken = control()
    before = {kind: dict(objects) for kind, objects in named(taken).items()}

    view = taken
    for offset, (each, alive) in enumerate(changes, 10):
        view = apply_record(view, control_key(each).encode(), each.encode() if alive else None, offset)

    assert named(taken) == before


@settings(deadline=None)
@given(changes=st.lists(st.tuples(st.sampled_from(OBJECTS), st.booleans()), max_size=12))
def test_only_the_last_record_of_each_object_matters_as_compaction_keeps_no_other(
    changes: list[tuple[ConfigObject, bool]],
) -> None:
    records = [(control_key(each).encode(), each.encode() if alive else None) for each, alive in changes]
    whole, compacted = ControlView(), ControlView()
    for offset, (key, value) in enumerate(records):
        whole = apply_record(whole, key, value, offset)
        if key not in [later for later, _ in records[offset + 1 :]]:
            compacted = apply_record(compacted, key, value, offset)

    assert named(whole) == named(compacted)
    assert whole.version == compacted.version


def test_requests_are_judged_only_with_a_tenant_a_deployment_and_a_route() -> None:
    view = ControlView()
    for offset, each in enumerate((tenant(), deployment(), route())):
        assert not view.is_configured
        view = with_object(view, each, offset)

    assert view.is_configured


@pytest.mark.parametrize("measured", [breaker(until_ms=NOW_MS), latency()], ids=lambda each: each.kind)
def test_what_is_measured_every_few_seconds_has_nothing_worked_out_anew(measured: Breaker | Latency) -> None:
    before = control()
    chosen, index = choose_route(before, ticket()), before.route_index

    after = with_object(before, measured, 60)

    assert choose_route(after, ticket()) is chosen
    assert after.route_index is index
    gone = apply_record(after, control_key(measured).encode(), None, 61)
    assert choose_route(gone, ticket()) is chosen


@pytest.mark.parametrize("changed", [tenant(), deployment(), route()], ids=lambda each: each.kind)
def test_a_change_of_the_configuration_has_everything_worked_out_anew(changed: Tenant | Deployment | Route) -> None:
    before = control()
    chosen = choose_route(before, ticket())

    assert choose_route(with_object(before, changed, 60), ticket()) is not chosen

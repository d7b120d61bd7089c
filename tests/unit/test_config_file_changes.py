"""What applying a configuration would write, and how it is shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.control import CONTROL, Breaker, Deployment, Limits, Route, RouteTarget, Tenant, control_key
from scripts.cli.config_diff import (
    Added,
    Change,
    Changed,
    ConfigObject,
    Removed,
    applied,
    changes,
    configured,
    described,
    summary,
)
from scripts.cli.control_topic import fold
from streams.control import ControlView, with_object
from streams.runtime.delivery import Delivery

ACME = Tenant(name="acme", open=True)
MAIN = Deployment(name="main", provider="openai", key_ref="k", models={"m": "m"})
DEFAULT = Route(name="default", targets=(RouteTarget(deployment="main", model="m"),))
BREAKER = Breaker(name="main", state="open", until_ms=9, failure_share=1, calls=10, p95_ms=5, since_ms=1)


def view_of(*objects: ConfigObject) -> ControlView:
    view = ControlView()
    for each in objects:
        view = with_object(view, each, 0)
    return view


def test_only_what_differs_is_written() -> None:
    richer = ACME.model_copy(update={"tier": "enterprise"})
    assert changes(view_of(ACME, MAIN), [richer, MAIN, DEFAULT], prune=False) == (Changed(ACME, richer), Added(DEFAULT))
    assert changes(view_of(ACME, MAIN, DEFAULT), [DEFAULT, ACME, MAIN], prune=True) == ()


def test_what_is_not_in_the_file_stays_unless_it_is_pruned() -> None:
    there = view_of(ACME, MAIN, DEFAULT)
    assert changes(there, [ACME], prune=False) == ()
    assert changes(there, [ACME], prune=True) == (Removed(DEFAULT), Removed(MAIN))


def test_a_breaker_is_no_configuration_and_is_never_pruned() -> None:
    there = with_object(view_of(ACME), BREAKER, 3)
    pruned = applied(there, changes(there, [], prune=True))
    assert set(pruned.breakers) == {"main"}
    assert configured(pruned) == {}


def test_a_route_is_written_after_its_deployment_and_removed_before_it() -> None:
    written = changes(ControlView(), [DEFAULT, ACME, MAIN], prune=False)
    assert [each.object.kind for each in written] == ["deployment", "tenant", "route"]
    removed = changes(view_of(DEFAULT, ACME, MAIN), [], prune=True)
    assert [each.object.kind for each in removed] == ["route", "tenant", "deployment"]


def test_a_change_shows_the_fields_it_touches_with_what_they_were() -> None:
    after = ACME.model_copy(update={"tier": "trial", "limits": Limits(requests_per_minute=30)})
    assert described(Changed(ACME, after)) == (
        "change",
        "tenant/acme",
        'tier: default -> "trial", limits: default -> {"requests_per_minute":30}',
    )
    assert described(Changed(after, ACME))[2].endswith('limits: {"requests_per_minute":30} -> default')


def test_the_largest_limit_that_is_taken_can_be_shown_written_and_read_back() -> None:
    most = Tenant(name="acme", open=True, limits=Limits(tokens_per_day=2**64 - 1))
    assert summary(most) == 'open=true, limits={"tokens_per_day":18446744073709551615}'
    assert CONTROL.validate_json(most.encode()) == most
    with pytest.raises(ValidationError):
        Limits(tokens_per_day=2**64)


def test_a_key_is_shown_by_the_beginning_of_its_hash() -> None:
    keyed = Tenant(name="acme", key_sha256=("0123456789abcdef" * 4,))
    assert summary(keyed) == 'key_sha256=["01234567…"]'


OBJECTS = st.one_of(
    st.builds(Tenant, name=st.sampled_from(("a", "b", "c")), open=st.booleans(), cache_ttl_s=st.integers(1, 3)),
    st.builds(
        Deployment,
        name=st.sampled_from(("a", "b", "c")),
        provider=st.sampled_from(("openai", "anthropic")),
        key_ref=st.just("k"),
        models=st.just({"m": "m"}),
    ),
    st.builds(
        Route,
        name=st.sampled_from(("a", "b", "c")),
        targets=st.just((RouteTarget(deployment="a"),)),
        max_attempts=st.integers(1, 3),
    ),
)
FILES = st.lists(OBJECTS, unique_by=control_key)


@given(FILES, FILES)
def test_a_pruned_apply_makes_the_configuration_the_file_and_a_second_one_changes_nothing(
    there: list[ConfigObject], wanted: list[ConfigObject]
) -> None:
    before = view_of(*there)
    after = applied(before, changes(before, wanted, prune=True))
    assert configured(after) == {control_key(each): each for each in wanted}
    assert changes(after, wanted, prune=True) == ()


@given(FILES, FILES)
def test_an_apply_without_prune_removes_nothing(there: list[ConfigObject], wanted: list[ConfigObject]) -> None:
    before = view_of(*there)
    written = changes(before, wanted, prune=False)
    assert not any(isinstance(each, Removed) for each in written)
    assert configured(before).keys() <= configured(applied(before, written)).keys()


def record(offset: int, key: bytes | None, value: bytes | None) -> Delivery:
    return Delivery("llm.control", 0, offset, key, value, (), 0)


def written(change: Change, offset: int) -> Delivery:
    value = None if isinstance(change, Removed) else change.object.encode()
    return record(offset, control_key(change.object).encode(), value)


def test_what_is_written_is_read_back() -> None:
    there: list[Change] = [Added(MAIN), Added(ACME), Added(DEFAULT), Removed(DEFAULT)]
    state = fold(written(change, offset) for offset, change in enumerate(there))
    assert configured(state.view) == configured(view_of(MAIN, ACME))
    assert (state.view.version, state.unreadable) == (3, ())


def test_an_unreadable_record_leaves_the_last_good_state_in_force_and_is_named() -> None:
    history = [written(Added(ACME), 0), record(1, b"tenant/acme", b"{}"), record(2, b"tenant/globex", b"not json")]
    state = fold(history)
    assert state.view.tenants == {"acme": ACME}
    assert state.unreadable == ("tenant/acme", "tenant/globex")


def test_an_object_that_was_written_again_is_readable_again() -> None:
    state = fold([record(0, b"tenant/acme", b"{}"), written(Added(ACME), 1)])
    assert (state.view.tenants, state.unreadable) == ({"acme": ACME}, ())

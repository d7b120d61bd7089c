"""The first strategy counts, the next breaks its ties, and a request is always routed the same."""

from collections import Counter
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.control import Route, RouteTarget
from schemas.flow import Target
from schemas.money import Price
from streams.control import ControlView
from streams.routing.choose import select
from streams.routing.order import EXPLORED_SHARE, FRESH_MS
from tests.unit.examples import NOW_MS, breaker, control, deployment, latency, route
from tests.unit.routing import choice_in, inquiry, three

MANY = 4_000


def plan(configured: ControlView, request_id: str = "r-1", **changes: Any) -> tuple[Target, ...]:
    return select(choice_in(configured), inquiry(request_id, **changes), configured).targets


def order(configured: ControlView, request_id: str = "r-1", **changes: Any) -> list[str]:
    return [target.deployment for target in plan(configured, request_id, **changes)]


def firsts(configured: ControlView) -> Counter[str]:
    return Counter(order(configured, f"r-{number}")[0] for number in range(MANY))


def shared(*weights: int, by: tuple[str, ...] = ("weighted",)) -> ControlView:
    """Keys `k0`, `k1`, … to the same model, each its deployment."""
    targets = tuple(RouteTarget(deployment=f"k{number}", weight=weight) for number, weight in enumerate(weights))
    keys = (deployment(f"k{number}", key_ref=f"key_{number}") for number in range(len(weights)))
    return control(*keys, route(targets=targets, order=by))


def test_as_given_targets_stay_in_the_routes_order_and_need_no_reason() -> None:
    assert order(three()) == ["dear", "cheap", "middle"]
    assert {target.why for target in plan(three())} == {None}


def test_the_cheapest_is_asked_first_and_each_says_its_place() -> None:
    assert [(target.deployment, target.why) for target in plan(three(order=("cheapest",)))] == [
        ("cheap", "cheapest 1/3"),
        ("middle", "cheapest 2/3"),
        ("dear", "cheapest 3/3"),
    ]


def test_the_cheapest_is_that_of_this_very_request() -> None:
    """A long prompt with a short answer, or the other way round, may be cheaper elsewhere."""
    wordy = {"rates": {"input": "1", "output": "100"}}
    curt = {"rates": {"input": "100", "output": "1"}}
    configured = control(
        deployment("reads-cheaply"),
        deployment("writes-cheaply"),
        route("default", "reads-cheaply", "writes-cheaply", order=("cheapest",)),
        _price("reads-cheaply", wordy),
        _price("writes-cheaply", curt),
    )

    assert order(configured, input_tokens=10_000)[0] == "reads-cheaply"
    assert order(configured, input_tokens=10)[0] == "writes-cheaply"


def test_who_has_no_price_is_asked_after_all_who_have_one() -> None:
    ours = deployment("ours", models={"gpt-5-mini": "llama-of-ours"})
    configured = three(ours, route("default", "ours", "dear", "cheap", order=("cheapest",)))

    assert order(configured) == ["cheap", "dear", "ours"]


def test_the_fastest_is_asked_first() -> None:
    configured = three(latency("dear", 900), latency("cheap", 2_000), latency("middle", 300), order=("fastest",))

    assert order(configured) == ["middle", "dear", "cheap"]


def test_of_the_equally_fast_the_one_with_fewer_slow_calls_is_asked_first() -> None:
    configured = three(
        latency("dear", 400, p95_ms=4_000),
        latency("cheap", 400, p95_ms=900),
        latency("middle", 5_000),
        order=("fastest",),
    )

    assert order(configured) == ["cheap", "dear", "middle"]


def test_a_few_milliseconds_decide_nothing_and_leave_it_to_the_next_strategy() -> None:
    configured = three(
        latency("dear", 400), latency("cheap", 410), latency("middle", 5_000), order=("fastest", "cheapest")
    )

    assert order(configured) == ["cheap", "dear", "middle"]


def test_a_latency_that_is_old_says_nothing() -> None:
    configured = three(latency("dear", 300), latency("cheap", 900), latency("middle", 100), order=("fastest",))
    old = three(
        latency("dear", 300), latency("cheap", 900), latency("middle", 100, at_ms=NOW_MS - 1), order=("fastest",)
    )

    assert order(configured, at_ms=NOW_MS + FRESH_MS)[0] == "middle"
    assert order(old, at_ms=NOW_MS + FRESH_MS) == ["dear", "cheap", "middle"]


def test_whose_latency_nobody_knows_is_asked_first_by_a_few_so_that_it_becomes_known() -> None:
    configured = three(latency("dear", 300), latency("cheap", 900), order=("fastest",))

    asked = firsts(configured)

    assert set(asked) == {"dear", "middle"}
    assert asked["middle"] / MANY == pytest.approx(EXPLORED_SHARE, rel=0.25)


def test_with_no_latency_known_at_all_nearly_all_keep_the_routes_order() -> None:
    assert firsts(three(order=("fastest",)))["dear"] / MANY > 1 - 3 * EXPLORED_SHARE


def test_several_keys_share_the_requests_by_their_weights() -> None:
    asked = firsts(shared(1, 2, 5))

    assert [asked[f"k{number}"] / MANY for number in range(3)] == [
        pytest.approx(share, rel=0.12) for share in (1 / 8, 2 / 8, 5 / 8)
    ]


def test_fallbacks_are_shared_by_weight_too() -> None:
    seconds = Counter(order(shared(1, 1, 8), f"r-{number}")[1] for number in range(MANY))

    assert min(seconds.values()) / MANY > 0.05


def test_a_key_without_weight_is_a_fallback_only() -> None:
    configured = shared(0, 1, 1)

    assert {order(configured, f"r-{number}")[2] for number in range(200)} == {"k0"}


def test_a_request_is_routed_the_same_each_time_it_is_taken() -> None:
    assert [order(shared(1, 1, 1), f"r-{n}") for n in range(50)] == [
        order(shared(1, 1, 1), f"r-{n}") for n in range(50)
    ]


def test_another_weight_moves_no_more_requests_than_it_must() -> None:
    before, after = shared(1, 1, 1), shared(1, 1, 2)
    moved = [
        (order(before, f"r-{number}")[0], order(after, f"r-{number}")[0])
        for number in range(MANY)
        if order(before, f"r-{number}")[0] != order(after, f"r-{number}")[0]
    ]

    assert {to for _, to in moved} == {"k2"}
    assert len(moved) / MANY == pytest.approx(1 / 2 - 1 / 3, rel=0.2)


def test_weights_share_what_is_equally_cheap() -> None:
    configured = control(
        deployment("free-1"),
        deployment("free-2"),
        deployment("paid"),
        route("default", "paid", "free-1", "free-2", order=("cheapest", "weighted")),
        *(
            _price(name, {"rates": {"request_usd": usd}})
            for name, usd in (("free-1", "0"), ("free-2", "0"), ("paid", "1"))
        ),
    )

    asked = firsts(configured)

    assert set(asked) == {"free-1", "free-2"}
    assert asked["free-1"] / MANY == pytest.approx(0.5, rel=0.1)
    assert plan(configured)[2].why == "cheapest, weighted 3/3"


def test_whose_breaker_is_open_is_asked_last_however_cheap_and_says_so() -> None:
    configured = three(breaker("cheap", until_ms=NOW_MS + 1), order=("cheapest",))

    assert [(target.deployment, target.why) for target in plan(configured)] == [
        ("middle", "cheapest 2/3"),
        ("dear", "cheapest 3/3"),
        ("cheap", "cheapest 1/3, breaker open"),
    ]


def test_as_given_too_an_open_breaker_is_said() -> None:
    configured = three(breaker("dear", until_ms=NOW_MS + 1))

    assert [(target.deployment, target.why) for target in plan(configured)] == [
        ("cheap", None),
        ("middle", None),
        ("dear", "breaker open"),
    ]


@pytest.mark.parametrize(
    ("strategies", "says"),
    [
        (("given", "cheapest"), "put it last"),
        (("cheapest", "cheapest"), "name each once"),
        ((), "at least 1 item"),
        (("best",), "'given', 'cheapest', 'fastest' or 'weighted'"),
    ],
)
def test_an_order_that_could_decide_nothing_is_refused(strategies: tuple[str, ...], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Route.model_validate({"name": "r", "targets": [{"deployment": "d"}], "order": strategies})


def _price(name: str, period: dict[str, Any]) -> Price:
    return Price.model_validate({"name": name, "deployments": [name], "periods": [period]})


def test_a_cascade_keeps_its_order_whatever_breakers_say() -> None:
    configured = three(breaker("cheap", until_ms=NOW_MS + 1), order=("cheapest",), cascade=True)

    assert order(configured) == ["cheap", "middle", "dear"]

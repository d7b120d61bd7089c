"""What `watch` says of a deployment's speed: seldom, only what has moved, and never what was measured on failures."""

from typing import Any

import pytest

from schemas.control import Route, RouteTarget
from schemas.routing import Latency
from streams.control import ControlView
from streams.routing.order import FRESH_MS
from streams.watch.health import Bucket, Tally
from streams.watch.latency import AGAIN_MS, SOONEST_MS, moved
from streams.watch.published import Published
from streams.watch.sightings import CallSeen
from tests.fakes.watch_desk import Desk, FixedFollower
from tests.unit.examples import NOW_MS, latency


def timed(*latencies_ms: int) -> Bucket:
    tally = Tally(Bucket())
    for each in latencies_ms:
        tally.count("answered", each)
    return tally.bucket


def test_half_of_the_calls_were_no_slower_than_the_median_and_all_buckets_count() -> None:
    news = moved("openai-1", None, (timed(*[100] * 50), timed(*[1_000] * 49, 9_000)), NOW_MS)

    assert news is not None
    assert (news.name, news.calls, news.at_ms) == ("openai-1", 100, NOW_MS)
    assert 100 <= news.p50_ms <= 110
    assert 1_000 <= news.p95_ms <= 1_100


def test_a_call_that_was_turned_away_at_once_makes_nobody_faster() -> None:
    tally = Tally(Bucket())
    for _ in range(90):
        tally.count("failed", 3)
    tally.count("answered", 2_000)

    news = moved("openai-1", None, (tally.bucket,), NOW_MS)

    assert news is not None
    assert (news.calls, news.p50_ms >= 2_000) == (1, True)


def test_of_calls_that_all_failed_nothing_is_said() -> None:
    tally = Tally(Bucket())
    tally.count("failed", 3)

    assert moved("openai-1", None, (tally.bucket, Bucket()), NOW_MS) is None


@pytest.mark.parametrize(
    ("after_ms", "measured_ms", "is_news"),
    [
        (SOONEST_MS - 1, 9_000, False),
        (SOONEST_MS, 9_000, True),
        (SOONEST_MS, 10, True),
        (SOONEST_MS, 410, False),
        (AGAIN_MS - 1, 410, False),
        (AGAIN_MS, 410, True),
    ],
    ids=["too soon", "slower", "faster", "the same", "the same for long", "the same for so long that it is said again"],
)
def test_news_is_what_has_moved_and_now_and_then_what_has_not(after_ms: int, measured_ms: int, is_news: bool) -> None:
    before = latency(p50_ms=400, p95_ms=400)

    assert (moved("openai-1", before, (timed(measured_ms),), NOW_MS + after_ms) is not None) is is_news


def test_while_there_are_calls_a_latency_is_told_again_before_it_is_too_old_to_be_believed() -> None:
    assert 2 * AGAIN_MS <= FRESH_MS


async def desk_with(*order: Any) -> Desk:
    follower = FixedFollower()
    route = Route(name="default", targets=(RouteTarget(deployment="openai-1"),), order=order)
    follower.view = ControlView(routes={"default": route})
    published = Published(lambda: follower)
    await published.reread()
    return Desk(published)


async def answer(desk: Desk, provider_ms: int, deployment: str = "openai-1") -> None:
    seen = CallSeen(subject=deployment, verdict="answered", started_at_ms=desk.clock.now_ms, provider_ms=provider_ms)
    await desk.sighting(seen)


def said(desk: Desk) -> list[Latency]:
    return [news for news in desk.outlet.published if isinstance(news, Latency)]


@pytest.mark.asyncio
async def test_where_a_route_asks_for_the_fastest_its_deployments_latencies_are_published_as_they_move() -> None:
    desk = await desk_with("fastest", "weighted")

    for provider_ms in (100, 105, 110):
        await answer(desk, provider_ms)
    assert len(said(desk)) == 1

    for _ in range(2):  # the slow tail is news at once, and then that it is not only a tail
        desk.pass_time(SOONEST_MS)
        for _ in range(9):
            await answer(desk, 2_000)
    assert [(news.p50_ms >= 2_000, news.p95_ms >= 2_000) for news in said(desk)] == [
        (False, False),
        (False, True),
        (True, True),
    ]
    assert said(desk)[-1].at_ms == NOW_MS + 2 * SOONEST_MS


@pytest.mark.asyncio
async def test_of_a_deployment_that_no_route_orders_by_its_speed_nothing_is_published() -> None:
    desk, other = await desk_with("cheapest"), await desk_with("fastest")

    await answer(desk, 100)
    await answer(other, 100, "elsewhere")

    assert said(desk) == said(other) == []

"""The control topic is the memory of breakers, and our own writes count before they have come back."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from schemas.control import Breaker, Slowdown, Tenant
from streams.control import ControlView, with_object
from streams.watch.published import ControlTimeoutError, Follower, Published

UNTIL_MS = 1_795_000_030_000


def breaker(state: str = "open", until_ms: int = UNTIL_MS) -> Breaker:
    return Breaker.model_validate(
        {
            "name": "openai-1",
            "state": state,
            "until_ms": until_ms,
            "failure_share": 0.5,
            "calls": 10,
            "p95_ms": 50,
            "since_ms": 0,
        }
    )


class ScriptedFollower:
    """Each `follow` takes in one record of the script; the topic's end is reached after `end` of them."""

    def __init__(self, *script: tuple[int, Breaker | Slowdown | Tenant], end: int | None = None) -> None:
        self.view = ControlView()
        self.closed = False
        self._script = list(script)
        self._left = len(script) if end is None else end
        self.is_current = self._left == 0

    def follow(self, timeout_s: float = 0) -> bool:
        del timeout_s
        if not self._script:
            return False
        offset, obj = self._script.pop(0)
        self.view = with_object(self.view, obj, offset)
        self._left -= 1
        self.is_current = self.is_current or self._left == 0
        return True

    def close(self) -> None:
        self.closed = True


def opening(*followers: ScriptedFollower) -> Callable[[], Follower]:
    remaining = list(followers)
    return lambda: remaining.pop(0)


@pytest.mark.asyncio
async def test_a_worker_that_takes_over_knows_the_last_word_of_the_one_before() -> None:
    published = Published(opening(ScriptedFollower((0, breaker("closed")), (1, breaker()))))

    await published.reread()

    assert published.breaker("openai-1") == breaker()


@pytest.mark.asyncio
async def test_a_deployment_nobody_has_written_about_is_closed() -> None:
    published = Published(opening(ScriptedFollower()))

    await published.reread()

    assert published.breaker("openai-1").state == "closed"


@pytest.mark.asyncio
async def test_what_we_wrote_holds_until_the_topic_has_caught_up_with_it() -> None:
    follower = ScriptedFollower((4, breaker()), (5, breaker("half_open")), (6, breaker("closed")), end=0)
    published = Published(opening(follower))
    await published.reread()

    published.wrote(breaker("half_open"), 5)
    published.refresh()
    assert published.breaker("openai-1").state == "half_open", "an older record must not undo our write"
    published.refresh()
    assert published.breaker("openai-1").state == "half_open"
    published.refresh()
    assert published.breaker("openai-1").state == "closed", "a newer record counts, whoever wrote it"


@pytest.mark.asyncio
async def test_only_an_open_breaker_whose_time_has_come_is_due() -> None:
    published = Published(opening(ScriptedFollower((0, breaker()))))
    await published.reread()

    assert published.due(UNTIL_MS - 1) == []
    assert published.due(UNTIL_MS) == ["openai-1"]
    published.wrote(breaker("half_open"), 1)
    assert published.due(UNTIL_MS) == []


@pytest.mark.asyncio
async def test_a_tenants_spend_limit_is_money_and_may_be_missing() -> None:
    tenant = Tenant(name="acme", daily_spend_alert_usd="12.50")
    published = Published(opening(ScriptedFollower((0, tenant), (1, Tenant(name="beta")))))
    await published.reread()

    assert published.spend_limit_usd("acme") == Decimal("12.50")
    assert published.spend_limit_usd("beta") is None
    assert published.spend_limit_usd("unheard-of") is None


@pytest.mark.asyncio
async def test_reading_again_lets_go_of_the_reader_before() -> None:
    first, second = ScriptedFollower(), ScriptedFollower((7, breaker()))
    published = Published(opening(first, second))
    await published.reread()

    await published.reread()

    assert first.closed
    assert not second.closed
    assert published.breaker("openai-1").state == "open"


@pytest.mark.asyncio
async def test_a_topic_without_an_end_in_time_stops_the_worker_with_a_sentence() -> None:
    stuck = ScriptedFollower(end=1)
    published = Published(opening(stuck), within_s=0)

    with pytest.raises(ControlTimeoutError, match="see that it exists"):
        await published.reread()

    assert stuck.closed


@pytest.mark.asyncio
async def test_a_slowdown_is_due_when_its_next_step_is_and_our_own_step_counts_before_it_has_come_back() -> None:
    cut = Slowdown(
        name="openai-1", requests_per_minute=300, goal_per_minute=600, cut_at_ms=UNTIL_MS - 60_000, until_ms=UNTIL_MS
    )
    published = Published(opening(ScriptedFollower((0, cut))))
    await published.reread()

    assert published.due(UNTIL_MS - 55_001) == []
    assert published.due(UNTIL_MS - 55_000) == ["openai-1"]
    published.wrote(cut.model_copy(update={"requests_per_minute": 360, "until_ms": UNTIL_MS + 5_000}), 1)
    assert published.due(UNTIL_MS - 55_000) == []
    assert published.due(UNTIL_MS + 5_000) == []

"""What the bench asks and when: requests that every stage takes, at times that no answer has part in."""

from itertools import pairwise

import pytest

from schemas.control import Deployment, Route, Tenant
from schemas.flow import Accepted
from schemas.prompt import Prompt
from schemas.request import Request
from scripts.bench.configuration import configuration
from scripts.bench.mix import KEY, TENANTS, Mix, number_of, requests
from scripts.bench.timetable import timetable
from scripts.cli.config_file import parse
from streams.control import ControlView
from streams.cost.tokens import estimate_tokens
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import Forward
from streams.runtime.stage import Stateless, View
from streams.stages.validate import decide

NOW_MS = 1_750_000_000_000
URL = "http://127.0.0.1:1/v1"


@pytest.fixture(scope="module")
def control() -> ControlView:
    objects = parse(configuration(TENANTS, URL, 512), "millrace.toml", {})
    return ControlView(
        tenants={each.name: each for each in objects if isinstance(each, Tenant)},
        deployments={each.name: each for each in objects if isinstance(each, Deployment)},
        routes={each.name: each for each in objects if isinstance(each, Route)},
    )


def prompts(mix: Mix) -> list[tuple[str, str]]:
    """Tenant and what is asked, in order."""
    read = [Request.decode(sent.value) for sent in requests(mix)]
    return [(each.tenant_id, str(each.messages[1].content)) for each in read]


def test_every_request_is_accepted_under_the_benchs_configuration(control: ControlView) -> None:
    headers = (("authorization", f"Bearer {KEY}".encode()),)
    for sent in requests(Mix(name="r", count=20)):
        delivery = Delivery("llm.requests", 0, 0, sent.tenant_id.encode(), sent.value, headers, NOW_MS)
        outcome = decide(delivery, View(control, Stateless(), NOW_MS, delivery))
        assert isinstance(outcome, Forward)
        assert isinstance(outcome.records[0].event, Accepted)


def test_ids_are_the_runs_own_and_say_which_they_are() -> None:
    ids = [sent.request_id for sent in requests(Mix(name="run-3", count=5))]
    assert ids == [f"run-3-{number}" for number in range(5)]
    assert [number_of(each) for each in ids] == [0, 1, 2, 3, 4]


def test_the_same_mix_is_the_same_bytes() -> None:
    assert list(requests(Mix(name="r", count=9))) == list(requests(Mix(name="r", count=9)))


def test_without_hits_nobody_asks_what_was_asked_before() -> None:
    asked = prompts(Mix(name="r", count=200)) + prompts(Mix(name="s", count=200))
    assert len(set(asked)) == len(asked)


def test_hits_repeat_what_the_same_tenant_asked_also_in_another_run() -> None:
    first, later = (prompts(Mix(name=name, count=300, cache="default", distinct=64)) for name in ("r", "s"))
    assert len(set(first)) == 64
    assert set(later) == set(first)
    assert set(first[:64]) == set(first)  # so that a short warming up has asked them all


def test_prompts_and_answers_have_the_tokens_of_the_trace() -> None:
    mix = Mix(name="r", count=3, prompt_tokens=[1, 50, 2_000], answer_tokens=[4, 5, 6])
    read = [Request.decode(sent.value) for sent in requests(mix)]
    assert [each.params.max_tokens for each in read] == [4, 5, 6]
    one, fifty, most = (estimate_tokens(Prompt(messages=each.messages)) for each in read)
    assert (fifty - one, most - one) == (pytest.approx(49, abs=2), pytest.approx(1_999, abs=2))


def test_requests_are_due_in_order_at_the_rate_and_alike_for_the_same_seed() -> None:
    due = timetable(7, 5_000, 50)
    assert due == timetable(7, 5_000, 50) != timetable(8, 5_000, 50)
    assert all(before <= after for before, after in pairwise(due))
    assert len(due) / due[-1] == pytest.approx(50, rel=0.05)


def test_a_backlog_is_due_at_once() -> None:
    assert timetable(7, 3, None) == [0, 0, 0]

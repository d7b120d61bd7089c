"""`millrace route explain` says what `route` would do, by the same decision, and sends nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from schemas.content import ContentRule
from schemas.control import Breaker, Judge, RouteTarget
from schemas.flow import Accepted, Dispatch, Miss, Refused
from schemas.request import Request
from schemas.routing import Features, Latency
from scripts.cli.app import app
from scripts.cli.fault import Fault
from scripts.cli.route import explained
from scripts.local.parts import SAMPLE_CONFIG
from streams.control import ControlView, with_object
from streams.runtime.outcome import Finish, Forward
from streams.runtime.stage import Stateless
from streams.stages.route import decide
from streams.stages.validate import decide as validate
from tests.unit.examples import (
    NOW_MS,
    PROMPT_CANARY,
    breaker,
    control,
    delivery,
    deployment,
    finished,
    forwarded,
    latency,
    miss,
    request_json,
    route,
    tenant,
    view,
)
from tests.unit.routing import ALL, CHEAP, DEAR, offering, three

# the tokenizer's package opens its vocabulary, once, with a function that Python 3.11 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:open_binary is deprecated:DeprecationWarning")

ASKED = {"tenant_id": "acme", "model": "auto", "task": "summarise"}


def request(**changes: Any) -> Request:
    return Request.decode(request_json(**changes))


def run(*arguments: str, **changes: Any) -> Any:
    text = request_json(**{**ASKED, **changes}).decode()
    return CliRunner().invoke(app, ["route", "explain", "-", *arguments], input=text)


def by_the_sample(*arguments: str, **changes: Any) -> Any:
    return run("--config", str(SAMPLE_CONFIG), *arguments, **changes)


def test_the_routes_that_match_are_shown_and_the_most_specific_is_taken() -> None:
    configured = control(offering("cheap", CHEAP), route("narrow", "cheap", models=("gpt-5-mini",)), route())

    told = explained(request(), configured, NOW_MS)

    assert [(each.rule, each.route, each.is_taken) for each in told.considered] == [
        ("model", "narrow", True),
        ("default route", "default", False),
    ]


def test_a_route_for_any_model_is_shown_where_it_holds_for_the_model_that_was_named() -> None:
    configured = control(deployment("gpt-9-only", "gpt-9"), route("acmes", tenants=("acme",)), route())

    carried = explained(request(), configured, NOW_MS)
    passed = explained(request(), with_object(configured, route("acmes", "gpt-9-only", tenants=("acme",)), 9), NOW_MS)

    assert [(each.rule, each.is_taken) for each in carried.considered] == [
        ("tenant, any model", True),
        ("default route", False),
    ]
    assert [(each.rule, each.is_taken) for each in passed.considered] == [("default route", True)]


def test_each_target_is_shown_with_its_place_its_cost_its_speed_and_why() -> None:
    configured = three(tenant(max_request_usd="0.003"), latency("cheap", 900), order=("cheapest",))

    told = explained(request(), configured, NOW_MS)

    assert [(each.place, each.deployment, each.why.partition(" and ")[0]) for each in told.targets] == [
        (1, "cheap", "cheapest 1/2"),
        (2, "middle", "cheapest 2/2"),
        (None, "dear", "it may cost 0.004118 USD"),
    ]
    assert told.targets[0].latency == latency("cheap", 900)
    assert told.reason == "default route, without dear (cost)"
    assert told.failure is None


def test_what_is_gone_is_shown_too() -> None:
    told = explained(request(), control(route("default", "gone", "openai-1")), NOW_MS)

    assert [(each.place, each.deployment, each.why) for each in told.targets] == [
        (1, "openai-1", "as the route says"),
        (None, "gone", "there is no such deployment"),
    ]


def test_a_judge_is_shown_with_what_it_may_cost_and_why_it_is_not_asked() -> None:
    judge = Judge(targets=tuple(RouteTarget(deployment=each, model="gpt-5-mini") for each in ALL), at_least=0.7)

    told = explained(request(), three(route("default", "cheap", judge=judge, max_request_usd="0.003")), NOW_MS)

    assert (told.least_mark, [each.deployment for each in told.targets]) == (0.7, ["cheap"])
    assert [(each.place, each.deployment, each.why.partition(" and ")[0]) for each in told.judges] == [
        (1, "cheap", "as the route says"),
        (2, "middle", "as the route says"),
        (None, "dear", "it may cost 0.004294 USD"),
    ]


def test_a_route_that_is_judged_says_so(tmp_path: Path) -> None:
    config = tmp_path / "judged.toml"
    judge = 'judge = { targets = [{ deployment = "openai-main", model = "gpt-4.1-mini" }], at_least = 0.7 }'
    sample = SAMPLE_CONFIG.read_text(encoding="utf-8")
    config.write_text(sample.replace('tasks = ["summarise"]', f'tasks = ["summarise"]\n{judge}'), encoding="utf-8")

    shown = run("--config", str(config))
    plain = json.loads(run("--config", str(config), "--json").output)

    assert shown.exit_code == 0
    assert "judge: asked about each answer that passes; below 0.7 it does not" in shown.output
    assert (plain["judge"]["at_least"], plain["judge"]["targets"][0]["model"]) == (0.7, "gpt-4.1-mini")
    assert json.loads(by_the_sample("--json").output)["judge"] is None


@settings(deadline=None, max_examples=60)
@given(
    order=st.sampled_from([("given",), ("cheapest",), ("fastest", "weighted"), ("weighted",)]),
    cap=st.sampled_from([None, "0.00001", "0.001", "1"]),
    max_tokens=st.none() | st.integers(1, 4_000),
    broken=st.sampled_from([None, "dear", "cheap"]),
    number=st.integers(0, 50),
)
def test_it_says_what_the_stage_does(
    order: Any, cap: str | None, max_tokens: int | None, broken: str | None, number: int
) -> None:
    extra: tuple[Breaker | Latency, ...] = (latency("dear", 100),)
    if broken is not None:
        extra = (*extra, breaker(broken, until_ms=NOW_MS + 1))
    configured = three(*extra, order=order)
    asked = request(request_id=f"r-{number}", max_cost_usd=cap, params={"max_tokens": max_tokens})

    told = explained(asked, configured, NOW_MS)

    assert [each.deployment for each in told.targets if each.place] == _dispatched(asked, configured)


def _dispatched(asked: Request, configured: ControlView) -> list[str]:
    given = delivery(asked.encode())
    let_in = forwarded(validate(given, view(Stateless(), control=configured, delivery=given)))[0].event
    if isinstance(let_in, Refused):
        return []
    assert isinstance(let_in, Accepted)
    assert let_in.summary is not None
    event: Miss = miss(asked.request_id, needs=let_in.summary.needs, input_tokens=let_in.input_tokens)
    outcome = decide(event, view(Stateless(), control=configured))
    if not isinstance(outcome, Forward):
        return []
    sent = outcome.records[0].event
    assert isinstance(sent, Dispatch)
    return [target.deployment for target in sent.plan.targets]


def test_by_a_file_it_needs_no_broker_and_ends_well_where_somebody_would_be_asked() -> None:
    shown = by_the_sample(params={"max_tokens": 200})

    assert shown.exit_code == 0
    assert "route_reason: task: summarise" in shown.stdout
    assert "gpt-4o-mini" in shown.stdout
    assert "0.00012" in shown.stdout


def test_where_nobody_would_be_asked_it_says_what_the_requester_is_told_and_that_is_a_finding() -> None:
    shown = by_the_sample("--json", max_cost_usd="0.000001")

    assert shown.exit_code == 1
    told = json.loads(shown.stdout)
    assert [each["place"] for each in told["targets"]] == [None, None]
    assert "raise max_cost_usd" in told["refused"]
    assert "refused: no target of route summarise" in by_the_sample(max_cost_usd="0.000001").stdout


def test_where_only_prices_are_missing_it_says_so_as_the_stage_does() -> None:
    ours = deployment("ours", models={"gpt-5-mini": "llama-of-ours"})
    strict = control(ours, route("default", "ours", refuse_unpriced=True))

    told = explained(request(), strict, NOW_MS)

    assert told.failure is not None
    assert told.failure.code == "unpriced_model"
    assert told.failure == finished(decide(miss(), view(Stateless(), control=strict))).failure


def test_a_model_that_no_route_leads_to_is_told_so() -> None:
    shown = by_the_sample(model="gpt-9", task=None)

    assert shown.exit_code == 1
    assert "no route leads to model 'gpt-9' for tenant acme" in shown.stdout


def test_the_tenants_own_default_for_the_length_of_answers_counts() -> None:
    narrow = offering("narrow", DEAR, Features(max_output_tokens=100))
    configured = control(tenant(default_max_tokens=200), narrow, route("default", "narrow"))

    told = explained(request(), configured, NOW_MS)

    assert told.failure is not None
    assert told.failure.field == "params.max_tokens"


FORBIDDING = (ContentRule(name="no-thyme", words=("thyme",)),)


@pytest.mark.parametrize(
    ("configured", "asked", "code"),
    [
        (control(tenant(enabled=False)), {}, "unauthenticated"),
        (control(tenant(content_rules=FORBIDDING)), {}, "content_blocked"),
        (control(route(content_rules=FORBIDDING)), {}, "content_blocked"),
        (control(), {"deadline_ms": NOW_MS}, "deadline_exceeded"),
    ],
    ids=["its tenant is switched off", "the tenant forbids its words", "the route does", "its time is over"],
)
def test_what_is_refused_before_it_is_routed_is_asked_nowhere(
    configured: ControlView, asked: dict[str, Any], code: str
) -> None:
    content = f"Tell me: {PROMPT_CANARY}"
    value = request_json(messages=[{"role": "user", "content": content}], **asked)

    told = explained(Request.decode(value), configured, NOW_MS)

    assert told.route == "default"
    assert told.targets == ()
    assert told.failure is not None
    assert told.failure.code == code
    assert told.failure == _refusal(value, configured)


def _refusal(value: bytes, configured: ControlView) -> Any:
    """By the stage itself."""
    given = delivery(value)
    outcome = validate(given, view(Stateless(), control=configured, delivery=given))
    if isinstance(outcome, Finish):
        return outcome.completion.failure
    refused = forwarded(outcome)[0].event
    assert isinstance(refused, Refused)
    return refused.failure


def test_what_is_refused_before_it_is_routed_is_a_finding_and_says_why() -> None:
    shown = by_the_sample(deadline_ms=1_000)

    assert shown.exit_code == 1
    assert "refused before anybody is asked: deadline_ms 1000 is" in shown.stdout
    assert "deadline_ms 1000 is" in json.loads(by_the_sample("--json", deadline_ms=1_000).stdout)["refused"]


def test_a_tenant_that_is_not_configured_is_named() -> None:
    with pytest.raises(Fault, match="tenant_id 'nobody' is not configured; known: acme"):
        explained(request(tenant_id="nobody"), control(), NOW_MS)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{}", "standard input is no request"),
        (request_json(priority="now").decode(), "priority must be"),
        ("nothing", "JSON"),
    ],
)
def test_what_is_no_request_is_told_which_field_is_wrong(text: str, says: str) -> None:
    ended = CliRunner().invoke(app, ["route", "explain", "-", "--config", str(SAMPLE_CONFIG)], input=text)

    assert ended.exit_code == 2
    assert says in ended.stderr


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, ["route", "explain", str(tmp_path / "none.json")])

    assert ended.exit_code == 2
    assert "none.json cannot be read: No such file" in ended.stderr

"""Where requests go on the running stack, by what each needs and may cost, and what is said of it afterwards."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import clickhouse_connect
import pytest

from schemas.base import dump_json
from schemas.control import Deployment, Route, RouteTarget, Tenant
from schemas.response import Response
from schemas.routing import Features
from scripts.cli.config_diff import Added, ConfigObject, Removed
from scripts.cli.control_topic import read_control, write_control
from scripts.cli.kafka import LiveCluster
from scripts.local.stack import LocalStack
from scripts.stack.readiness import holds_within
from streams.runtime.cluster import Cluster
from tests.integration.conversation import Conversation
from tests.integration.millrace import Millrace

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

WITHIN_S = 30
CALCULATOR = {"type": "function", "function": {"name": "sum", "parameters": {"type": "object"}}}


def copied(of: Deployment, name: str, model: str, **changes: Any) -> Deployment:
    return of.model_copy(update={"name": name, "models": {"any": model}, **changes})


@pytest.fixture(scope="module")
def routed(stack: LocalStack) -> Iterator[Millrace]:
    """A tenant whose data stays in the eu, with a cheap model there that takes no tools, a dear one that does, and one
    elsewhere that is cheaper than both.
    """
    cluster = LiveCluster(stack.kafka, Cluster(stack.kafka).existing())
    main = read_control(cluster).view.deployments["openai-main"]
    names = ("dear-eu", "cheap-eu", "cheap-us")
    objects: list[ConfigObject] = [
        copied(main, "dear-eu", "gpt-4.1", region="eu"),
        copied(main, "cheap-eu", "gpt-4.1-mini", region="eu", features={"any": Features(tools=False)}),
        copied(main, "cheap-us", "gpt-4o-mini", region="us"),
        Tenant(name="routed", open=True, regions=("eu",)),
        *(
            Route(
                name=f"routed-{order}",
                tenants=("routed",),
                models=(f"by-{order}",),
                order=(order,),
                targets=tuple(RouteTarget(deployment=name, model="any") for name in names),
            )
            for order in ("cheapest", "fastest")
        ),
    ]
    version = write_control(cluster, [Added(each) for each in objects])
    talk = Conversation(stack.kafka)
    assert holds_within(WITHIN_S, lambda: _is_in_force(talk, version))
    talk.close()
    yield Millrace(stack.environment)
    write_control(cluster, [Removed(each) for each in reversed(objects)])


def _is_in_force(talk: Conversation, version: int) -> bool:
    given = asked(talk)
    return given.status == "ok" and given.config_version >= version


def asked(talk: Conversation, model: str = "by-cheapest", **fields: Any) -> Response:
    request_id = f"routed-{uuid4().hex[:12]}"
    talk.ask(request_id, key=None, tenant_id="routed", model=model, **fields)
    return talk.answer(request_id)


def request_json(**fields: Any) -> bytes:
    messages = [{"role": "user", "content": "Where to?"}]
    facts = {"request_id": "why", "tenant_id": "routed", "model": "by-cheapest", "messages": messages}
    return dump_json({**facts, **fields})


@pytest.mark.usefixtures("routed")
def test_a_request_goes_to_the_cheapest_that_may_have_it_and_can_do_it(
    stack: LocalStack, conversation: Conversation
) -> None:
    plain, with_tools = asked(conversation), asked(conversation, params={"tools": [CALCULATOR]})

    assert (plain.deployment, plain.route_reason) == (
        "cheap-eu",
        "tenant and model: routed-cheapest, without cheap-us (region); cheapest 1/2",
    )
    assert (with_tools.deployment, with_tools.route_reason) == (
        "dear-eu",
        "tenant and model: routed-cheapest, without cheap-us (region), cheap-eu (tools); cheapest 1/1",
    )
    client = clickhouse_connect.get_client(host=stack.clickhouse.host, port=stack.clickhouse.port)
    query = f"SELECT route_reason FROM millrace.calls WHERE request_id = '{plain.request_id}' AND is_final"  # noqa: S608  # our id
    assert holds_within(WITHIN_S, lambda: client.query(query).result_rows == [(plain.route_reason,)])
    client.close()


@pytest.mark.usefixtures("routed")
def test_who_allows_less_than_any_target_may_cost_is_told_so_before_anybody_is_asked(
    conversation: Conversation,
) -> None:
    refused = asked(conversation, max_cost_usd="0.000001")

    assert (refused.status, refused.attempts, refused.cost_usd) == ("rejected", 0, 0)
    assert refused.error is not None
    assert (refused.error.code, refused.error.field) == ("no_target", "max_cost_usd")
    assert "raise max_cost_usd" in refused.error.message


def test_explain_says_by_what_is_in_force_where_the_same_request_goes(routed: Millrace) -> None:
    shown = routed("route", "explain", "-", "--json", text=request_json(params={"tools": [CALCULATOR]}))

    assert shown.status == 0
    assert [(each["place"], each["deployment"]) for each in shown.json["targets"]] == [
        (1, "dear-eu"),
        (None, "cheap-us"),
        (None, "cheap-eu"),
    ]
    assert routed("route", "explain", "-", text=request_json(max_cost_usd="0.000001")).status == 1


def test_how_fast_deployments_answer_is_known_soon_after_they_are_asked_where_a_route_goes_by_it(
    routed: Millrace, conversation: Conversation
) -> None:
    def is_known() -> bool:
        answered = asked(conversation, "by-fastest")
        shown = routed("route", "explain", "-", "--json", text=request_json(model="by-fastest"))
        (target,) = [each for each in shown.json["targets"] if each["deployment"] == answered.deployment]
        return target["p50_ms"] is not None and 0 < target["p50_ms"] <= target["p95_ms"]

    assert holds_within(WITHIN_S, is_known)
    assert "latency/" in routed("config", "show").out

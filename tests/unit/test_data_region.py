"""A tenant's data stays where it may be, also when that changes after a request was routed."""

from msgspec.structs import replace

from schemas.control import Deployment
from schemas.flow import Dispatch
from streams.control import ControlView, without_object
from streams.stages.invoke import Backoff, Call, End, Step, next_step
from tests.unit.examples import NOW_MS, control, deployment, dispatch, failed_attempt, tenant

EU, US = deployment("eu-1", region="eu"), deployment("us-1", region="us")


def step(asked: Dispatch, configured: ControlView, *attempts_at: str) -> Step:
    attempts = [
        failed_attempt(number, deployment=name, target_index=number - 1, error_class="permission", retryable=False)
        for number, name in enumerate(attempts_at, 1)
    ]
    return next_step(asked, attempts, configured, NOW_MS, jitter=0, backoff=Backoff(200, 5_000))


def kept_in(*regions: str, deployments: tuple[Deployment, ...] = (EU, US)) -> ControlView:
    return control(tenant(regions=regions), *deployments)


def without_tenant(*deployments: Deployment) -> ControlView:
    return without_object(control(*deployments), "tenant/acme", 60)


def test_what_waited_while_its_tenants_regions_changed_is_not_sent_where_its_data_may_not_go() -> None:
    next_ = step(dispatch("us-1", "eu-1"), kept_in("eu"))

    assert isinstance(next_, Call)
    assert (next_.target.deployment, next_.target_index) == ("eu-1", 1)


def test_a_fallback_elsewhere_is_not_asked_however_the_others_fail() -> None:
    end = step(dispatch("eu-1", "us-1"), kept_in("eu"), "eu-1")

    assert isinstance(end, End)
    assert end.failure.message.startswith("eu-1 did not answer")


def test_where_every_target_is_elsewhere_now_nobody_is_asked_and_that_is_said() -> None:
    end = step(dispatch("us-1"), kept_in("eu"))

    assert isinstance(end, End)
    assert (end.failure.code, end.failure.field, end.failure.retryable) == ("no_target", "tenant_id", True)


def test_a_deployment_that_has_moved_is_where_it_is_now() -> None:
    moved = deployment("us-1", region="eu")

    assert isinstance(step(dispatch("us-1"), kept_in("eu", deployments=(EU, moved))), Call)


def test_a_tenant_that_names_no_region_is_asked_for_anywhere() -> None:
    assert isinstance(step(dispatch("us-1"), kept_in()), Call)


def test_what_is_under_way_when_its_tenant_is_removed_goes_where_its_plan_says_and_nowhere_else() -> None:
    moved = deployment("eu-1", region="us")
    plan = dispatch("eu-1").plan.targets[0]
    asked = dispatch("eu-1")
    asked = replace(asked, plan=replace(asked.plan, targets=(replace(plan, region="eu"),)))

    stays, goes = step(asked, without_tenant(EU)), step(asked, without_tenant(moved))

    assert isinstance(stays, Call)
    assert isinstance(goes, End)
    assert (goes.failure.code, goes.failure.field) == ("no_target", "tenant_id")

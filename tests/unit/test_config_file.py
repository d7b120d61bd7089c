"""A configuration file as control objects, and what is said about one that is not right."""

import hashlib
import re
from pathlib import Path

import pytest

from schemas.control import Deployment, Route, RouteTarget, Tenant
from schemas.flow import Ticket
from schemas.usage import Usage
from schemas.wire import Origin
from scripts.cli.config import planned
from scripts.cli.config_consistency import asked_for, inconsistencies
from scripts.cli.config_diff import applied
from scripts.cli.config_file import parse
from scripts.cli.fault import Fault
from scripts.simulator.prices import Catalog
from streams.control import ControlView
from streams.cost.price import price
from streams.routes import choose_route, targets_of

SAMPLE = Path(__file__).parents[2] / "compose" / "config" / "millrace.toml"
FILE = "my.toml"
TENANT = '[[tenant]]\nname = "acme"\nopen = true\n'
DEPLOYMENT = '[[deployment]]\nname = "main"\nprovider = "openai"\nkey_ref = "k"\nmodels = { m = "m" }\n'
ROUTE = '[[route]]\nname = "default"\ntargets = [{ deployment = "main", model = "m" }]\n'


def complaints(text: str, **given: str) -> list[str]:
    with pytest.raises(Fault) as refused:
        parse(text, FILE, given)
    return str(refused.value).splitlines()


def test_each_table_becomes_an_object() -> None:
    tenant, deployment, route = parse(TENANT + DEPLOYMENT + ROUTE, FILE, {})
    assert tenant == Tenant(name="acme", open=True)
    assert deployment == Deployment(name="main", provider="openai", key_ref="k", models={"m": "m"})
    assert route == Route(name="default", targets=(RouteTarget(deployment="main", model="m"),))


def test_an_empty_file_holds_nothing() -> None:
    assert parse("# only a comment\n", FILE, {}) == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[tenant\n", "my.toml is not readable TOML: "),
        ("[[tenants]]\n", "my.toml: tenants is not known: did you mean tenant?"),
        ("[logging]\n", "my.toml: logging is not known: a file holds tenant, deployment, route"),
        ('[tenant]\nname = "acme"\n', "my.toml: tenant must be written [[tenant]], with two brackets"),
        ("tenant = 3\n", "my.toml: tenant must be written [[tenant]], with two brackets"),
        ("[[tenant]]\nopen = true\n", "my.toml: tenant without a name: name is required: add it"),
        (TENANT + "opn = true\n", "my.toml: tenant acme: opn is not a known field: did you mean open?"),
        (TENANT + 'kind = "route"\n', "my.toml: tenant acme: kind must be 'tenant', not 'route'"),
        (
            TENANT + "limits = { requests_per_minute = 0 }\n",
            "my.toml: tenant acme: limits.requests_per_minute must be at least 1, not 0",
        ),
        (
            TENANT + "limits = { tokens_per_day = 18_446_744_073_709_551_616 }\n",
            "my.toml: tenant acme: limits.tokens_per_day must be at most 18446744073709551615",
        ),
        (
            TENANT + "max_deferred = 18_446_744_073_709_551_616\n",
            "my.toml: tenant acme: max_deferred must be at most 100000",
        ),
        (
            TENANT + 'content_rules = [{ name = "r", max_chars = 18_446_744_073_709_551_616 }]\n',
            "my.toml: tenant acme: content_rules.0.max_chars must be at most 18446744073709551615",
        ),
        (
            DEPLOYMENT + "features = { m = { context_tokens = 1_000_000_000_000_000_000_000 } }\n",
            "my.toml: deployment main: features.m.context_tokens must be at most 18446744073709551615",
        ),
        (
            ROUTE + "cascade = true\n",
            "my.toml: route default: cascade needs a second of targets: name the next model there",
        ),
        (
            TENANT + 'key_sha256 = ["acme-key"]\n',
            "my.toml: tenant acme: key_sha256.0 must be a SHA-256 in 64 hexadecimal digits: `millrace config hash-key`",
        ),
        (
            TENANT + "semantic = { threshold = nan }\n",
            "my.toml: tenant acme: semantic.threshold must be a finite number",
        ),
        (TENANT + "cache_ttl_s = true\n", "my.toml: tenant acme: cache_ttl_s must be a number, not true"),
        (TENANT + "semantic = { threshold = true }\n", "my.toml: tenant acme: semantic.threshold must be a number"),
        (TENANT + "enabled = 0\n", "my.toml: tenant acme: enabled must be true or false, not 0"),
        (
            ROUTE.replace('model = "m"', 'model = "m", weight = true'),
            "my.toml: route default: targets.0.weight must be a number, not true",
        ),
        (DEPLOYMENT.replace("openai", "opnai"), "my.toml: deployment main: provider must be 'openai' or 'anthropic'"),
        (DEPLOYMENT + 'base_url = "no address"\n', "my.toml: deployment main: base_url "),
        (ROUTE.replace('[{ deployment = "main", model = "m" }]', "[]"), "my.toml: route default: targets must not be"),
        (TENANT + TENANT, "my.toml: tenant acme is there twice: keep one"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_file_object_and_field(text: str, complaint: str) -> None:
    (only,) = complaints(text)
    assert only.startswith(complaint)


def test_all_problems_are_told_at_once() -> None:
    found = complaints('[[tenants]]\n[[tenant]]\nname = "a b"\n[[tenant]]\nname = "c"\nopn = true\n' + DEPLOYMENT * 2)
    assert [each.split(":")[1].strip() for each in found] == [
        "tenants is not known",
        "tenant a b",
        "tenant c",
        "deployment main is there twice",
    ]


def test_a_key_hash_that_is_none_is_not_repeated() -> None:
    (only,) = complaints('[[tenant]]\nname = "acme"\nkey_sha256 = ["sk-canary-in-the-wrong-place"]\n')
    assert only.startswith("my.toml: tenant acme: key_sha256.0 ")
    assert "canary" not in only


ADDRESS = DEPLOYMENT + 'base_url = "${address}"\n'


def test_a_value_is_filled_in_from_what_is_given() -> None:
    (found,) = parse(ADDRESS, FILE, {"address": "http://127.0.0.1:8081/v1"})
    assert isinstance(found, Deployment)
    assert str(found.base_url) == "http://127.0.0.1:8081/v1"


def test_a_number_or_a_switch_may_be_filled_in() -> None:
    (read,) = parse(
        TENANT.replace("true", '"${open}"') + 'weight = "${weight}"\n', FILE, {"open": "true", "weight": "3"}
    )
    assert read == Tenant(name="acme", open=True, weight=3)


def test_a_value_with_a_default_needs_none_to_be_given() -> None:
    text = ADDRESS.replace("${address}", "${address:-https://example.org/v1}")
    (plain,), (given,) = parse(text, FILE, {}), parse(text, FILE, {"address": "http://127.0.0.1:8081/v1"})
    assert isinstance(plain, Deployment)
    assert isinstance(given, Deployment)
    assert (str(plain.base_url), str(given.base_url)) == ("https://example.org/v1", "http://127.0.0.1:8081/v1")


def test_a_value_that_is_not_given_is_asked_for_and_never_taken_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("address", "http://127.0.0.1:8081/v1")
    assert complaints(ADDRESS) == ["my.toml: deployment main: ${address} has no value; give one with --set address=…"]


def test_a_given_value_that_nothing_uses_is_a_mistake() -> None:
    assert complaints(ADDRESS, address="http://a.example", adress="http://b.example") == [
        "my.toml: nothing in it uses --set adress; it asks for address"
    ]
    assert complaints(TENANT, address="x") == ["my.toml: nothing in it uses --set address; it asks for no value"]


def planned_view(text: str, tmp_path: Path, view: ControlView | None = None) -> ControlView:
    path = tmp_path / FILE
    path.write_text(text)
    before = view or ControlView()
    return applied(before, planned(path, {}, before))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (TENANT.replace("open = true\n", "") + DEPLOYMENT + ROUTE, "tenant acme: nobody can prove to be it"),
        (TENANT + ROUTE, "route default: there is no deployment main"),
        (DEPLOYMENT + ROUTE.replace('model = "m"', 'model = "n"'), "route default: deployment main has no model n"),
        (DEPLOYMENT + ROUTE + 'tenants = ["globex"]\n', "route default: there is no tenant globex"),
        (DEPLOYMENT + ROUTE.replace(', model = "m"', ""), "route default: no target serves model auto"),
        (
            DEPLOYMENT + ROUTE.replace(', model = "m"', "").replace("default", "fast") + 'models = ["fast"]\n',
            "route fast: no target serves model fast",
        ),
        (
            DEPLOYMENT + "features = { n = { tools = false } }\n",
            "deployment main: features names n, which is none of its models; rename it",
        ),
        (
            TENANT + 'regions = ["eu"]\n' + DEPLOYMENT + 'region = "us"\n' + ROUTE,
            "tenant acme: no deployment is in its regions; deployments are in: us",
        ),
        (
            DEPLOYMENT + ROUTE.replace('model = "m"', 'model = "m", weight = 0') + 'order = ["weighted"]\n',
            "route default: order is weighted and no target has a weight",
        ),
    ],
)
def test_objects_that_cannot_work_together_are_refused(text: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(Fault) as refused:
        planned_view(text, tmp_path)
    assert any(complaint in line for line in str(refused.value).splitlines())
    assert str(tmp_path / FILE) in str(refused.value)


def test_a_route_may_name_a_deployment_that_is_there_already(tmp_path: Path) -> None:
    before = planned_view(DEPLOYMENT, tmp_path)
    assert set(planned_view(TENANT + ROUTE, tmp_path, before).deployments) == {"main"}


def test_a_tenant_that_is_switched_off_needs_no_key(tmp_path: Path) -> None:
    text = TENANT.replace("open = true", "enabled = false") + DEPLOYMENT + ROUTE
    assert not planned_view(text, tmp_path).tenants["acme"].enabled


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="cannot be read: No such file"):
        planned(tmp_path / "none.toml", {}, ControlView())
    (tmp_path / FILE).write_bytes(b"\xff\xfe")
    with pytest.raises(Fault, match="cannot be read: it is not UTF-8 text"):
        planned(tmp_path / FILE, {}, ControlView())


@pytest.fixture(scope="module")
def sample() -> ControlView:
    return applied(ControlView(), planned(SAMPLE, {}, ControlView()))


def ticket(tenant: str, model: str = "auto", task: str | None = None) -> Ticket:
    origin = Origin(topic="llm.requests", partition=0, offset=0)
    return Ticket(request_id="r", tenant_id=tenant, model=model, task=task, origin=origin, produced_at_ms=0)


def test_the_sample_has_its_tenants_and_fits_together(sample: ControlView) -> None:
    assert set(sample.tenants) == {"acme", "globex", "initech", "local"}
    assert [name for name, tenant in sample.tenants.items() if tenant.open] == ["local"]
    assert inconsistencies(sample) == ()


def test_every_demo_key_of_the_sample_stands_beside_its_hash(sample: ControlView) -> None:
    documented = re.findall(r'key_sha256 = \["([0-9a-f]{64})"\] # (\S+)', SAMPLE.read_text())
    assert {hashlib.sha256(key.encode()).hexdigest() for _, key in documented} == {digest for digest, _ in documented}
    known = {digest for tenant in sample.tenants.values() for digest in tenant.key_sha256}
    assert known == {digest for digest, _ in documented}
    assert len(known) == 3


@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt-4.1-mini", "claude-haiku-4-5", "fast", "smart", "cheap", "auto"])
def test_every_model_and_alias_of_the_sample_leads_to_both_providers(sample: ControlView, model: str) -> None:
    choice = choose_route(sample, ticket("acme", model))
    assert choice is not None
    assert {target.provider for target in targets_of(sample, choice.route, model)} == {"openai", "anthropic"}


@pytest.mark.parametrize("task", ["summarise", "classify", "extract"])
def test_every_task_of_the_sample_has_a_route_of_its_own(sample: ControlView, task: str) -> None:
    choice = choose_route(sample, ticket("globex", task=task))
    assert choice is not None
    assert choice.reason == f"task: {task}"
    assert len(targets_of(sample, choice.route, "auto")) == 2


def test_every_route_of_the_sample_asks_first_for_the_model_that_was_asked_for(sample: ControlView) -> None:
    for route in sample.routes.values():
        for model in asked_for(route):
            if any(model in deployment.models for deployment in sample.deployments.values()):
                assert targets_of(sample, route, model)[0].model == model


def test_every_model_of_the_sample_has_a_price_here_and_in_the_simulator(sample: ControlView) -> None:
    catalog = Catalog.load()
    for deployment in sample.deployments.values():
        for name in deployment.models.values():
            usage = Usage(uncached_input_tokens=1000, text_output_tokens=1000)
            assert price(deployment.provider, name, usage, 1_795_219_200_000).status == "priced"
            assert catalog.find(deployment.provider, name) is not None


def test_the_sample_takes_the_addresses_of_a_simulator() -> None:
    given = {"openai_base_url": "http://127.0.0.1:8081/v1", "anthropic_base_url": "http://127.0.0.1:8081"}
    view = applied(ControlView(), planned(SAMPLE, given, ControlView()))
    assert {str(each.base_url) for each in view.deployments.values()} == {
        "http://127.0.0.1:8081/v1",
        "http://127.0.0.1:8081/",
    }

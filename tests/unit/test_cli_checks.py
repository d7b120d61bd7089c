"""What the doctor makes of what it sees."""

from pathlib import Path
from typing import Any

import pytest

from schemas.content import ContentRule
from schemas.control import AnyControl, Deployment, Judge, Route, RouteTarget, Tenant
from schemas.postprocess import PostProcess
from schemas.topics import TOPICS
from scripts.cli.clickhouse_checks import schema
from scripts.cli.clock_skew import against, newest_record
from scripts.cli.config_consistency import inconsistencies
from scripts.cli.consumer_lag import GroupLag, judged, waiting
from scripts.cli.control_topic import ControlState
from scripts.cli.kafka_checks import configuration, keys, topics
from scripts.cli.offsets import Span
from sinks.migrate import migrations
from streams.control import ControlView
from streams.provider_keys import ProviderKeys
from streams.runtime.cluster import Problem
from tests.unit.examples import control, deployment, route, tenant

OPENAI = Deployment(name="openai-main", provider="openai", key_ref="openai_api_key", models={"m": "m"})
SOUND = ControlView(
    tenants={"acme": Tenant(name="acme", open=True)},
    deployments={"openai-main": OPENAI},
    routes={"default": Route(name="default", targets=(RouteTarget(deployment="openai-main", model="m"),))},
    version=41,
)
CANARY = "sk-canary-0000"


def test_each_problem_of_a_topic_is_a_check_with_its_way_out() -> None:
    (found,) = topics([Problem("llm.calls", "has 3 partitions, 12 are needed", "recreate the topic")])
    assert (found.name, found.is_sound, found.todo) == ("topic llm.calls", False, "recreate the topic")


def test_topics_as_they_must_be_are_one_sound_check() -> None:
    (found,) = topics([])
    assert (found.is_sound, found.found) == (True, f"all {len(TOPICS)} are as they must be")


def test_a_configuration_that_fits_together_is_sound() -> None:
    (found,) = configuration(ControlState(SOUND))
    assert (found.is_sound, found.found) == (True, "1 tenants, 1 deployments, 1 routes, version 41")


def test_without_a_configuration_one_has_to_be_applied() -> None:
    (found,) = configuration(ControlState(ControlView()))
    assert found.todo == "apply one: millrace config apply FILE"


def test_what_does_not_fit_together_or_cannot_be_read_is_told_one_by_one() -> None:
    adrift = ControlView(SOUND.tenants, SOUND.deployments, {"default": Route(name="default", targets=(GONE,))})
    found = list(configuration(ControlState(adrift, ("tenant/globex",))))
    assert [each.is_sound for each in found] == [False] * 3
    assert "there is no deployment gone" in found[0].todo
    assert "tenant/globex" in found[-1].found


GONE = RouteTarget(deployment="gone", model="m")
JUDGE = Judge(targets=(RouteTarget(deployment="other", model="gpt-9"),), at_least=0.7)
TWO_MODELS = (RouteTarget(deployment="openai-1", model="gpt-5-mini"), RouteTarget(deployment="other", model="gpt-9"))
SERVED = (RouteTarget(deployment="openai-1", model="gpt-5-mini"),)
RULES = tuple(ContentRule(name="codes", words=(word,)) for word in ("nile", "rhine"))


@pytest.mark.parametrize(
    ("changes", "todo"),
    [
        ({"cascade": True}, "require a check in postprocess"),
        ({"cascade": True, "postprocess": PostProcess(refusal="mark")}, "require a check in postprocess"),
        ({"postprocess": PostProcess(re_ask=True)}, "set postprocess.structure"),
        ({"postprocess": PostProcess(re_ask=True, structure="check"), "max_attempts": 1}, "allow 2 or more"),
        ({"judge": JUDGE, "max_attempts": 1}, "allow 2 or more"),
        ({"judge": JUDGE, "max_attempts": 2, "cascade": True}, "allow 3 or more"),
        ({"judge": Judge(targets=(GONE,), at_least=0.7)}, "there is no deployment gone"),
        ({"judge": JUDGE, "cascade": True}, None),
        ({"cascade": True, "postprocess": PostProcess(truncation="require")}, None),
        ({"postprocess": PostProcess(re_ask=True, structure="repair")}, None),
    ],
)
def test_a_route_that_would_ask_again_and_never_does_is_told(changes: dict[str, Any], todo: str | None) -> None:
    told = inconsistencies(
        control(deployment("other", "gpt-9"), route("default", models=("gpt-5-mini",), targets=TWO_MODELS, **changes))
    )

    assert [each for each in told if todo is None or todo not in each] == []
    assert len(told) == (todo is not None)


def told_of(*objects: AnyControl) -> tuple[str, ...]:
    """Beside a tenant, a deployment and a default route that fit together."""
    assert inconsistencies(control(route(targets=SERVED))) == ()
    return inconsistencies(control(route(targets=SERVED), *objects))


@pytest.mark.parametrize(
    ("objects", "says"),
    [
        (
            (deployment("reserved", tiers=("golden",)),),
            "deployment reserved: no tenant is of its tiers (golden); tenants are of: standard",
        ),
        (
            (route("r", tiers=("golden",), targets=SERVED),),
            "route r: no tenant is of its tiers (golden); tenants are of: standard",
        ),
        (
            (tenant(content_rules=RULES),),
            "tenant acme: content_rules has codes 2 times; give each a name of its own",
        ),
        (
            (route("default", targets=SERVED, content_rules=RULES),),
            "route default: content_rules has codes 2 times; give each a name of its own",
        ),
        (
            (deployment("empty", models={"m": " "}),),
            "deployment empty: models says nothing for m; write the provider's name for it",
        ),
        (
            (route("a", models=("gpt-5-mini", "fast"), targets=SERVED), route("b", models=("fast",), targets=SERVED)),
            "route b: what leads to it leads to a, first by name; take one out, or part them",
        ),
        (
            (route("spare", targets=SERVED, models=(), tasks=()),),
            "route spare: nothing leads to it; name models, tasks, tenants or tiers, or call it default",
        ),
        (
            (
                deployment("other"),
                route(
                    "default",
                    targets=(*SERVED, RouteTarget(deployment="other", model="gpt-5-mini")),
                    cascade=True,
                    postprocess=PostProcess(refusal="require"),
                ),
            ),
            "route default: all targets of its cascade are of one model; name another, or leave cascade out",
        ),
        (
            (tenant(postprocess=PostProcess(re_ask=True)),),
            "tenant acme: re_ask is for JSON that fails its check; set postprocess.structure",
        ),
    ],
)
def test_what_can_never_work_is_told_with_what_to_do(objects: tuple[AnyControl, ...], says: str) -> None:
    assert told_of(*objects) == (says,)


@pytest.mark.parametrize(
    "objects",
    [
        (tenant(tier="golden"), deployment("reserved", tiers=("golden", "platinum"))),
        (tenant(content_rules=RULES[:1]), route(targets=SERVED, content_rules=RULES[1:])),
        (
            route("a", models=("gpt-5-mini", "fast"), targets=SERVED),
            route("b", models=("fast", "slow"), targets=SERVED),
        ),
        (tenant(postprocess=PostProcess(re_ask=True, structure="check")),),
        (
            tenant(postprocess=PostProcess(re_ask=True)),
            route("json", tasks=("extract",), targets=SERVED, postprocess=PostProcess(structure="check")),
        ),
    ],
)
def test_what_works_for_somebody_is_not_complained_of(objects: tuple[AnyControl, ...]) -> None:
    assert told_of(*objects) == ()


def test_a_key_is_looked_for_and_never_shown(tmp_path: Path) -> None:
    deployments = {
        name: OPENAI.model_copy(update={"name": name, "key_ref": name}) for name in ("first", "second", "third")
    }
    (tmp_path / "first").write_text(CANARY)
    found = list(keys(deployments, ProviderKeys(tmp_path, {"SECOND": CANARY})))
    assert [each.is_sound for each in found] == [True, True, False]
    assert found[2].todo == "set THIRD, or put a file third into MILLRACE_INVOKE_SECRETS_DIR"
    assert all(CANARY not in f"{each.name}{each.found}{each.todo}" for each in found)


def test_tables_are_sound_when_every_migration_was_applied_as_it_is() -> None:
    there = {each.name: each.checksum for each in migrations()}
    assert schema(there).is_sound
    first, *_ = there
    assert schema({**there, first: "edited"}).found == "differ from this release"
    del there[first]
    assert schema(there).todo == "run: millrace tables apply"
    assert first in schema(there).found


SPANS = {"llm.requests": {0: Span(10, 30), 1: Span(0, 5)}}


@pytest.mark.parametrize(
    ("committed", "expected"),
    [
        ({}, 25),
        ({("llm.requests", 0): -1001, ("llm.requests", 1): 5}, 20),
        ({("llm.requests", 0): 30, ("llm.requests", 1): 5}, 0),
        ({("llm.requests", 0): 4, ("llm.requests", 1): 3}, 22),
        ({("llm.requests", 0): 99, ("llm.requests", 1): 5}, 0),
        ({("llm.calls", 0): 30}, 25),
    ],
)
def test_what_waits_is_what_is_there_and_not_yet_committed(
    committed: dict[tuple[str, int], int], expected: int
) -> None:
    assert waiting(SPANS, committed) == expected


def test_records_that_nobody_reads_are_a_problem_and_records_that_are_read_are_not() -> None:
    busy, idle, dead, sink = judged(
        [
            GroupLag("validate", 2, 500),
            GroupLag("limit", 0, 0),
            GroupLag("route", 0, 3),
            GroupLag("sink", 0, 3),
        ]
    )
    assert (busy.is_sound, idle.is_sound) == (True, True)
    assert (dead.todo, sink.todo) == ("start it: millrace stage route", "start it: millrace sink")
    assert dead.found.startswith("3 records wait")


@pytest.mark.parametrize(
    ("their_ms", "is_sound", "found"),
    [
        (10_050, True, "within 2 s of ours"),
        (12_100, True, "within 2 s of ours"),
        (8_000, True, "within 2 s of ours"),
        (12_200, False, "2.1 s ahead of ours"),
        (7_500, False, "2.5 s behind ours"),
    ],
)
def test_a_clock_is_judged_by_the_span_in_which_it_was_read(their_ms: int, is_sound: bool, found: str) -> None:
    check = against("ClickHouse", their_ms, before_ms=10_000, after_ms=10_100)
    assert (check.is_sound, check.found) == (is_sound, found)


def test_a_record_from_the_future_means_that_clocks_disagree() -> None:
    assert newest_record("llm.requests", None, 5_000).is_sound
    assert newest_record("llm.requests", 1_000, 5_000).is_sound
    ahead = newest_record("llm.requests", 65_000, 5_000)
    assert (ahead.is_sound, ahead.found) == (False, "60.0 s ahead of ours")

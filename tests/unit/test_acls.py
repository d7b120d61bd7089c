"""What is allowed follows from who reads and writes which topic: nothing is missing, and nothing is more than used."""

import shlex

import pytest
from typer.testing import CliRunner

from schemas.participants import PARTS, TRAFFIC, Part
from schemas.topics import TOPICS
from scripts.cli.acls import PRINCIPAL_PREFIX, Grant, commands, grants, part_grants
from scripts.cli.app import app
from streams.settings import KafkaSettings

KAFKA = KafkaSettings()
GIVEN = grants(KAFKA, PRINCIPAL_PREFIX)


def names(part: Part, operation: str) -> set[str]:
    """Topics without their prefix, but for Faust's own."""
    return {
        grant.name.removeprefix("llm.")
        for grant in part_grants(KAFKA, part, "User:x")
        if grant.resource == "topic" and grant.pattern == "literal" and operation in grant.operations
    }


@pytest.mark.parametrize("part", PARTS)
def test_a_part_may_read_and_write_what_it_does_and_nothing_else(part: Part) -> None:
    assert names(part, "Read") == {t.topic.name for t in TRAFFIC if part in (*t.readers, *t.followers)}
    assert names(part, "Write") == {t.topic.name for t in TRAFFIC if part in t.writers}
    assert names(part, "Create") == names(part, "AlterConfigs") == set()


@pytest.mark.parametrize("part", PARTS)
def test_a_part_commits_in_its_own_group_only(part: Part) -> None:
    groups = [grant for grant in part_grants(KAFKA, part, "User:x") if grant.resource == "group"]
    assert [grant.name for grant in groups if "Read" in grant.operations] == [KAFKA.group(part)]


def test_only_watch_and_services_have_rights_by_the_beginning_of_a_name_and_nobody_has_all() -> None:
    by_beginning = {(grant.principal, grant.name) for grant in GIVEN if grant.pattern == "prefixed"}
    assert by_beginning == {("User:millrace-watch", "millrace.watch-"), ("User:millrace-service", "millrace.service")}
    assert all(grant.name not in {"", "*"} for grant in GIVEN)


def test_who_asks_can_write_requests_and_read_nothing() -> None:
    assert [grant for grant in GIVEN if grant.principal == "User:millrace-producer"] == [
        Grant("User:millrace-producer", ("Write",), "topic", "llm.requests")
    ]


def test_the_operator_configures_takes_answers_back_tells_the_audit_and_writes_nothing_else() -> None:
    operators = [grant for grant in GIVEN if grant.principal == "User:millrace-operator" and grant.resource == "topic"]
    written = [grant.name for grant in operators if "Write" in grant.operations]
    assert written == ["llm.cache", "llm.control", "llm.audit"]
    assert len(operators) == len(TOPICS)


def test_who_gives_dead_letters_back_writes_where_they_came_from_and_neither_asks_nor_configures() -> None:
    mine = [grant for grant in GIVEN if grant.principal == "User:millrace-redriver" and grant.resource == "topic"]
    written = {grant.name for grant in mine if "Write" in grant.operations}
    assert written == {
        *("llm.validated", "llm.deferred", "llm.admitted", "llm.misses", "llm.dispatch.high", "llm.dispatch.normal"),
        *("llm.dispatch.low", "llm.completions", "llm.calls", "llm.audit"),
    }
    assert {grant.name for grant in mine if "Read" in grant.operations} == {"llm.control", "llm.audit", "llm.dlq"}


def test_a_command_gives_what_is_alike_at_once_and_any_name_is_quoted() -> None:
    given = [Grant("User:CN=a b", ("Read", "Describe"), "topic", name) for name in ("one", "two")]
    (line,) = commands([*given], "kafka-1:9093", "admin.properties")
    assert shlex.split(line) == [
        *("kafka-acls.sh", "--bootstrap-server", "kafka-1:9093", "--command-config", "admin.properties", "--add"),
        *("--allow-principal", "User:CN=a b", "--resource-pattern-type", "literal"),
        *("--operation", "Read", "--operation", "Describe", "--topic", "one", "--topic", "two"),
    ]


def test_prefixes_are_those_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_KAFKA_TOPIC_PREFIX", "blue.")
    monkeypatch.setenv("MILLRACE_KAFKA_GROUP_PREFIX", "green.")
    shown = CliRunner().invoke(app, ["topics", "acls", "--principal-prefix", "User:CN="]).stdout
    assert "User:CN=route" in shown
    assert "blue.misses" in shown
    assert "green.route" in shown
    assert "millrace" not in shown
    assert "llm." not in shown


def test_commands_and_json_exclude_each_other() -> None:
    told = CliRunner().invoke(app, ["topics", "acls", "--commands", "--json"])
    assert told.exit_code == 2
    assert "exclude each other" in told.stderr

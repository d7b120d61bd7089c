"""The published contracts follow the models, and hang together."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import jsonschema_rs
import orjson
import pytest
import yaml

from schemas.asyncapi import asyncapi
from schemas.export import COMMAND, EXPORTED, exported, outdated, write
from schemas.headers import outgoing, topic_event_type
from schemas.json_schema import WRITTEN_FOR_OTHERS, contracts
from schemas.participants import PARTS, TRAFFIC
from schemas.topics import TOPICS

DRAFT_07_KEYWORDS = {
    "$ref", "additionalProperties", "anyOf", "const", "contentEncoding", "default", "description", "enum", "examples",
    "exclusiveMaximum", "exclusiveMinimum", "format", "items", "maxItems", "maxLength", "maxProperties", "maximum",
    "minItems", "minLength", "minProperties", "minimum", "oneOf", "pattern", "patternProperties", "properties",
    "propertyNames", "required", "title", "type",
}  # fmt: skip


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return yaml.safe_load((EXPORTED / "asyncapi.yaml").read_bytes())


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield cast("dict[str, Any]", node)
        for item in cast("dict[str, Any]", node).values():
            yield from nodes(item)
    elif isinstance(node, list):
        for item in cast("list[Any]", node):
            yield from nodes(item)


def resolve(document: dict[str, Any], reference: str) -> Any:
    target: Any = document
    for step in reference.removeprefix("#/").split("/"):
        target = target[step]
    return target


def subschemas(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for key in ("properties", "patternProperties"):
        for item in schema.get(key, {}).values():
            yield from subschemas(item)
    for key in ("items", "additionalProperties", "propertyNames"):
        if isinstance(schema.get(key), dict):
            yield from subschemas(schema[key])
    for key in ("anyOf", "oneOf"):
        for item in schema.get(key, []):
            yield from subschemas(item)


def test_the_published_contracts_are_those_of_the_models() -> None:
    stale = outdated(EXPORTED)
    assert not stale, f"{', '.join(stale)} no longer match the models: run `{COMMAND}` and commit schemas/exported/"


def test_exporting_twice_gives_the_same_bytes() -> None:
    assert exported() == exported()


def test_writing_replaces_what_is_old_and_removes_what_is_no_contract(tmp_path: Path) -> None:
    (tmp_path / "request.schema.json").write_text("{}")
    (tmp_path / "forgotten.schema.json").write_text("{}")
    changed = write(tmp_path)
    assert {"request.schema.json", "forgotten.schema.json", "asyncapi.yaml"} <= set(changed)
    assert {path.name for path in tmp_path.iterdir()} == exported().keys()
    assert write(tmp_path) == []


@pytest.mark.parametrize("name", contracts())
def test_a_published_schema_is_itself_valid(name: str) -> None:
    schema = orjson.loads((EXPORTED / f"{name}.schema.json").read_bytes())
    jsonschema_rs.meta.validate(schema)
    assert {reference for node in nodes(schema) if (reference := node.get("$ref"))} == {
        f"#/$defs/{definition}" for definition in schema.get("$defs", {})
    }


def test_what_people_write_may_not_hold_unknown_fields_but_what_we_write_may_gain_some() -> None:
    closed = {name for name, contract in contracts().items() if contract.schema.get("additionalProperties") is False}
    configured = {"tenant", "deployment", "route", "price", "budget"}
    assert closed == {"request", "breaker", "slowdown", "latency", "override", "spend_stop", "audit", *configured}
    assert {"responses", "calls", "alerts"} == WRITTEN_FOR_OTHERS


def test_money_for_others_is_text_so_that_no_reader_rounds_it() -> None:
    cost = contracts()["response"].schema["properties"]["cost_usd"]
    assert {option["type"] for option in cost["anyOf"]} == {"string", "null"}


def test_every_reference_of_the_asyncapi_document_leads_somewhere(document: dict[str, Any]) -> None:
    references = {reference for node in nodes(document) if isinstance(reference := node.get("$ref"), str)}
    assert references
    for reference in references:
        assert isinstance(resolve(document, reference), dict), reference


def test_every_schema_of_the_asyncapi_document_is_used(document: dict[str, Any]) -> None:
    used = {node["$ref"].rpartition("/")[2] for node in nodes(document) if "/schemas/" in node.get("$ref", "")}
    assert used == document["components"]["schemas"].keys()


def test_the_asyncapi_schemas_keep_to_keywords_that_its_own_dialect_knows(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"].values()
    keywords = {key for schema in schemas for part in subschemas(schema) for key in part}
    assert keywords <= DRAFT_07_KEYWORDS


def test_every_topic_is_a_channel_with_its_address_and_its_settings(document: dict[str, Any]) -> None:
    for topic in TOPICS:
        channel = document["channels"][topic.name]
        settings = channel["bindings"]["kafka"]["topicConfiguration"]
        assert channel["address"] == f"llm.{topic.name}"
        assert ",".join(settings["cleanup.policy"]) == topic.cleanup
        assert settings["retention.ms"] == topic.retention_ms
        assert settings["max.message.bytes"] == topic.max_message_bytes
    assert len(document["channels"]) == len(TOPICS)


def test_every_topic_is_written_by_somebody_and_read_by_somebody() -> None:
    assert [traffic.topic for traffic in TRAFFIC] == list(TOPICS)
    for traffic in TRAFFIC:
        assert traffic.writers, traffic.topic.name
        assert traffic.readers or traffic.followers, traffic.topic.name


@pytest.mark.parametrize("part", PARTS)
def test_every_part_reads_in_its_own_group_and_may_write_dead_letters(part: str, document: dict[str, Any]) -> None:
    mine = [operation for operation in document["operations"].values() if operation["tags"] == [{"name": part}]]
    groups = {
        group
        for operation in mine
        if operation["action"] == "receive" and "bindings" in operation
        for group in operation["bindings"]["kafka"]["groupId"]["enum"]
    }
    assert groups == {f"millrace.{part}"}
    assert {"$ref": "#/channels/dlq"} in [operation["channel"] for operation in mine if operation["action"] == "send"]


def test_only_postprocess_sends_responses(document: dict[str, Any]) -> None:
    senders = [
        operation["tags"]
        for operation in document["operations"].values()
        if operation["action"] == "send" and operation["channel"]["$ref"] == "#/channels/responses"
    ]
    assert senders == [[{"name": "postprocess"}]]


def test_an_operation_names_only_messages_of_its_channel(document: dict[str, Any]) -> None:
    for name, operation in document["operations"].items():
        assert operation["messages"], name
        for message in operation["messages"]:
            assert message["$ref"].startswith(operation["channel"]["$ref"] + "/messages/"), name


def test_the_headers_that_we_send_satisfy_the_published_ones(document: dict[str, Any]) -> None:
    sent = outgoing(topic_event_type("responses"), "llm.completions/0/1/0", "millrace/postprocess", 0, None)
    schema = document["components"]["schemas"]["EventHeaders"]
    assert jsonschema_rs.is_valid(schema, {name: value.decode() for name, value in sent})
    assert document["channels"]["responses"]["messages"]["response"]["name"] == dict(sent)["ce_type"].decode()


def test_the_document_in_memory_is_the_one_on_disk(document: dict[str, Any]) -> None:
    assert asyncapi() == document

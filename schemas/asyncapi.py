"""The AsyncAPI document: channels, messages and operations, made of the models, the topics and the participants."""

from typing import Any, cast

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from schemas.headers import (
    AUTHORIZATION,
    CONTENT_TYPE,
    ID,
    SOURCE,
    SPEC_VERSION,
    TIME,
    TRACE_PARENT,
    TYPE,
    topic_event_type,
)
from schemas.json_schema import ContractSchema, event_name, mode_of
from schemas.participants import PARTS, TRAFFIC, Outsider, Part, Traffic
from schemas.topics import REQUESTS, TOPICS, Topic

DEFAULT_PREFIX = "llm."
DEFAULT_GROUP_PREFIX = "millrace."
_KAFKA_BINDING = {"bindingVersion": "0.5.0"}

Node = dict[str, Any]

_DESCRIPTION = (
    "An event-driven LLM gateway on Kafka. Producers publish requests, services read responses; the channels between "
    "belong to the stages. Addresses are shown with the default prefix. Values are JSON. Readers of responses, calls "
    "and alerts must ignore fields that they do not know: a version may gain fields, it never loses or changes one."
)


def asyncapi() -> Node:
    inputs: list[tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = [
        (topic.name, mode_of(topic), topic.adapter) for topic in TOPICS if topic.adapter is not None
    ]
    payloads, shared = TypeAdapter[Any].json_schemas(
        inputs, ref_template="#/components/schemas/{model}", schema_generator=ContractSchema
    )
    by_topic = {name: cast("Node", _in_dialect(schema)) for (name, _mode), schema in payloads.items()}
    channels = {traffic.topic.name: _channel(traffic, by_topic.get(traffic.topic.name)) for traffic in TRAFFIC}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Millrace",
            "version": "1",
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": {name: operation for part in PARTS for name, operation in _operations(part, channels)},
        "components": {
            "schemas": {
                "RequestHeaders": _request_headers(),
                "EventHeaders": _event_headers(),
                **{
                    _component(name): _in_dialect(schema)
                    for name, schema in cast("Node", shared.get("$defs", {})).items()
                },
            }
        },
    }


def _component(name: str) -> str:
    """A model that is read and also written for others has two shapes, which pydantic tells apart by a suffix."""
    if name.endswith("-Output"):
        return "Published" + name.removesuffix("-Output")
    return name.removesuffix("-Input")


def _in_dialect(node: Any) -> Any:
    """AsyncAPI's `discriminator` is not JSON Schema's: the constant in each alternative says the same."""
    if isinstance(node, list):
        return [_in_dialect(item) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    items = cast("Node", node).items()
    kept = {key: _in_dialect(item) for key, item in items if key != "discriminator" or isinstance(item, str)}
    reference = kept.get("$ref")
    if isinstance(reference, str):
        path, _, name = reference.rpartition("/")
        kept["$ref"] = f"{path}/{_component(name)}"
    return kept


def _reference(*path: str) -> Node:
    return {"$ref": "#/" + "/".join(path)}


def _names(parts: tuple[Part | Outsider, ...]) -> str:
    return ", ".join(parts)


def _channel(traffic: Traffic, payload: Node | None) -> Node:
    topic = traffic.topic
    sentences = [
        f"Key: {topic.key}.",
        f"Written by {_names(traffic.writers)}.",
        f"Read by {_names(traffic.readers)}." if traffic.readers else "",
        f"Followed, without a group, by {_names(traffic.followers)}." if traffic.followers else "",
        "Partitions: a number that all these channels share." if topic.partitions == "all" else "",
        "Records dated longer ago than the delivery timeout are refused." if topic.fenced else "",
    ]
    return {
        "address": DEFAULT_PREFIX + topic.name,
        "title": topic.name,
        "summary": topic.carries,
        "description": " ".join(sentence for sentence in sentences if sentence),
        "messages": _messages(topic, payload),
        "bindings": {
            "kafka": {
                **({} if topic.partitions == "all" else {"partitions": topic.partitions}),
                "topicConfiguration": {
                    "cleanup.policy": topic.cleanup.split(","),
                    "retention.ms": topic.retention_ms,
                    "max.message.bytes": topic.max_message_bytes,
                },
                **_KAFKA_BINDING,
            }
        },
    }


def _messages(topic: Topic, payload: Node | None) -> Node:
    bindings = {"kafka": {"key": {"type": "string", "description": topic.key}, **_KAFKA_BINDING}}
    if payload is None:
        headers = {"type": "object", "description": "the original's, without credentials, and why it is here"}
        return {"original": {"title": "Original", "headers": headers, "bindings": bindings}}
    kinds = cast("list[Node]", payload.get("oneOf", [payload]))
    titles = {kind["$ref"].rpartition("/")[2]: kind for kind in kinds}
    headers = "RequestHeaders" if topic is REQUESTS else "EventHeaders"
    return {
        event_name(title): {
            "name": topic_event_type(topic.name),
            "title": title,
            "headers": _reference("components", "schemas", headers),
            "payload": kind,
            "bindings": bindings,
        }
        for title, kind in titles.items()
    }


def _operations(part: Part, channels: dict[str, Node]) -> list[tuple[str, Node]]:
    group = {"kafka": {"groupId": {"type": "string", "enum": [DEFAULT_GROUP_PREFIX + part]}, **_KAFKA_BINDING}}
    found: list[tuple[str, Node]] = []
    for traffic in TRAFFIC:
        name = traffic.topic.name
        target: Node = {
            "channel": _reference("channels", name),
            "messages": [_reference("channels", name, "messages", message) for message in channels[name]["messages"]],
            "tags": [{"name": part}],
        }
        if part in traffic.readers:
            found.append((f"{part}.receives.{name}", {"action": "receive", **target, "bindings": group}))
        if part in traffic.followers:
            found.append((f"{part}.follows.{name}", {"action": "receive", **target}))
        if part in traffic.writers:
            found.append((f"{part}.sends.{name}", {"action": "send", **target}))
    return found


def _text(description: str, **more: Any) -> Node:
    return {"type": "string", "description": description, **more}


def _event_headers() -> Node:
    attributes: Node = {
        ID: _text("the same for every copy of one event"),
        TYPE: _text("the message's name"),
        SOURCE: _text("who wrote it"),
        SPEC_VERSION: _text("of CloudEvents", const="1.0"),
        TIME: _text("UTC, with milliseconds", format="date-time"),
        CONTENT_TYPE: _text("of the value", const="application/json"),
    }
    trace: Node = {TRACE_PARENT: _text("W3C Trace Context: the trace that the request belongs to")}
    return {"type": "object", "properties": attributes | trace, "required": list(attributes)}


def _request_headers() -> Node:
    return {
        "type": "object",
        "description": "All optional: a record without headers is accepted from a tenant that needs no key.",
        "properties": {
            AUTHORIZATION: _text("`Bearer <tenant key>`; goes no further than validation"),
            TRACE_PARENT: _text("W3C Trace Context; an invalid one is ignored"),
            ID: _text("a name of the record, for the sender's own use"),
            TYPE: _text("CloudEvents", examples=[topic_event_type(REQUESTS.name)]),
            SOURCE: _text("CloudEvents"),
            SPEC_VERSION: _text("CloudEvents"),
            TIME: _text("CloudEvents; the record's own timestamp is what counts"),
            CONTENT_TYPE: _text("CloudEvents"),
        },
    }

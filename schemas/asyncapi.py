"""The AsyncAPI document: channels, messages and operations, made of the models, the topics and the participants."""

from collections.abc import Mapping
from typing import Any, cast

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
from schemas.json_schema import WRITTEN_FOR_OTHERS, definitions_of, event_name
from schemas.participants import PARTS, TRAFFIC, Outsider, Part, Traffic
from schemas.topics import REQUESTS, TOPICS, Topic

DEFAULT_PREFIX = "llm."
DEFAULT_GROUP_PREFIX = "millrace."
_PUBLISHED = "Published"
_KAFKA_BINDING = {"bindingVersion": "0.5.0"}

Node = dict[str, Any]

_DESCRIPTION = (
    "An event-driven LLM gateway on Kafka. Producers publish requests, services read responses; the channels between "
    "belong to the stages. Addresses are shown with the default prefix. Values are JSON. Readers of responses, calls "
    "and alerts must ignore fields that they do not know: a version may gain fields, it never loses or changes one."
)


def asyncapi() -> Node:
    shapes = {topic.name: definitions_of(topic) for topic in TOPICS}
    written = {name for topic in TOPICS if topic.name in WRITTEN_FOR_OTHERS for name in shapes[topic.name]}
    read = {name for topic in TOPICS if topic.name not in WRITTEN_FOR_OTHERS for name in shapes[topic.name]}
    renamed = {name: _PUBLISHED + name for name in written & read}
    components: dict[str, Node] = {}
    for topic in TOPICS:
        names = renamed if topic.name in WRITTEN_FOR_OTHERS else {}
        for name, schema in shapes[topic.name].items():
            components.setdefault(names.get(name, name), cast("Node", _in_dialect(schema, names)))
    channels = {traffic.topic.name: _channel(traffic) for traffic in TRAFFIC}
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
            "schemas": {"RequestHeaders": _request_headers(), "EventHeaders": _event_headers(), **components}
        },
    }


def _in_dialect(node: Any, names: Mapping[str, str]) -> Any:
    """AsyncAPI's `discriminator` is not JSON Schema's: the constant in each alternative says the same.

    `names`: what is read and also written for others has two shapes, and the latter a name of its own.
    """
    if isinstance(node, list):
        return [_in_dialect(item, names) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    items = cast("Node", node).items()
    kept = {key: _in_dialect(item, names) for key, item in items if key != "discriminator" or isinstance(item, str)}
    reference = kept.get("$ref")
    if isinstance(reference, str):
        name = reference.rpartition("/")[2]
        kept["$ref"] = f"#/components/schemas/{names.get(name, name)}"
    return kept


def _reference(*path: str) -> Node:
    return {"$ref": "#/" + "/".join(path)}


def _names(parts: tuple[Part | Outsider, ...]) -> str:
    return ", ".join(parts)


def _channel(traffic: Traffic) -> Node:
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
        "messages": _messages(topic),
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


def _messages(topic: Topic) -> Node:
    bindings = {"kafka": {"key": {"type": "string", "description": topic.key}, **_KAFKA_BINDING}}
    if topic.events is None:
        headers = {"type": "object", "description": "the original's, without credentials, and why it is here"}
        return {"original": {"title": "Original", "headers": headers, "bindings": bindings}}
    headers = "RequestHeaders" if topic is REQUESTS else "EventHeaders"
    return {
        event_name(kind.__name__): {
            "name": topic_event_type(topic.name),
            "title": kind.__name__,
            "headers": _reference("components", "schemas", headers),
            "payload": _reference("components", "schemas", kind.__name__),
            "bindings": bindings,
        }
        for kind in topic.events.types
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

"""No credential, prompt or answer is anywhere that operators and analysts look, however a request ended."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import pytest

from schemas.base import dump_json
from schemas.flow import Completion
from schemas.response import Response
from schemas.topics import CALLS, COMPLETIONS, CONTROL, DISPATCH, REQUESTS, RESPONSES, TOPICS, VALIDATED
from scripts.cli.config_diff import Added, Removed
from scripts.cli.config_file import parse
from scripts.cli.control_topic import write_control
from scripts.cli.kafka import LiveCluster
from scripts.local.stack import LocalStack
from scripts.stack.readiness import holds_within
from streams.runtime.cluster import Cluster
from streams.runtime.delivery import Delivery
from tests.integration.canaries import (
    ALL,
    ANSWERED,
    ANSWERS,
    FAILED,
    FOREIGN_HEADERS,
    KEYS,
    PAYLOADS,
    PROMPTS,
    RUN,
    SECRETS,
    ask_for_everything,
)
from tests.integration.conversation import Conversation
from tests.integration.everywhere import Everywhere, labels_of
from tests.integration.hostile_provider import STATUSES, hostile_provider
from tests.integration.millrace import Scribe

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
WITHIN_S = 90

BESIDE_PAYLOADS = frozenset({"calls", "accounts", "budgets", "control", "alerts", "audit"})
"""Topics on which no prompt or answer travels. On no topic at all does a key."""
ALL_TOPICS = frozenset(topic.name for topic in TOPICS)
UNREADABLE = (VALIDATED, DISPATCH["normal"], COMPLETIONS, CALLS)
GARBAGE = dump_json({"kind": "accepted", "prompt": PROMPTS["garbage"], "ticket": PROMPTS["garbage"]})

CONFIGURATION = """
[[tenant]]
name = "canary"
key_sha256 = ["{key}"]

[[deployment]]
name = "hostile-openai"
provider = "openai"
base_url = "{url}/v1"
key_ref = "hostile_key"
models = {{ {models} }}

[[deployment]]
name = "hostile-anthropic"
provider = "anthropic"
base_url = "{url}"
key_ref = "hostile_key"
models = {{ {models} }}

[[route]]
name = "hostile"
models = [{names}]
tenants = ["canary"]
max_attempts = 2
targets = [{{ deployment = "hostile-openai" }}, {{ deployment = "hostile-anthropic" }}]
"""


@pytest.fixture(scope="module")
def ended(stack: LocalStack) -> Iterator[Everywhere]:
    """The stack after requests that ended in every way, and records on every topic that nobody can read."""
    (stack.layout.secrets / "hostile_key").write_text(KEYS["provider"])
    cluster = LiveCluster(stack.kafka, Cluster(stack.kafka).existing())
    with hostile_provider() as url:
        text = CONFIGURATION.format(
            key=hashlib.sha256(KEYS["tenant"].encode()).hexdigest(),
            url=url,
            models=", ".join(f'"{name}" = "{name}"' for name in STATUSES),
            names=", ".join(f'"{name}"' for name in STATUSES),
        )
        objects = parse(text, "canary.toml", {})
        write_control(cluster, [Added(each) for each in objects])
        talk = Conversation(stack.kafka)
        ids = ask_for_everything(talk)
        talk.close()
        everywhere = Everywhere(stack)
        write_garbage(stack, everywhere)
        await_rows(everywhere, ids)
        yield everywhere
        write_control(cluster, [Removed(each) for each in reversed(objects)])


def write_garbage(stack: LocalStack, everywhere: Everywhere) -> None:
    """Returns when all of it is buried, and the control topic is as it was."""
    scribe = Scribe(stack.kafka)
    headers = [("Authorization", f"Bearer {KEYS['tenant']}".encode()), *FOREIGN_HEADERS.items()]
    for value in (PROMPTS["garbage"].encode(), GARBAGE, f'{{"request_id": NaN, "{PROMPTS["garbage"]}"'.encode()):
        scribe.write(REQUESTS, value, headers=headers)
    for topic in (*UNREADABLE, CONTROL):
        scribe.write(topic, GARBAGE, key=b"tenant/canary-garbage", headers=headers)

    def are_buried() -> bool:
        letters = [record for topic, record in everywhere.records() if topic == "dlq"]
        named = {dict(each.headers).get("millrace-topic") for each in letters if each.value == GARBAGE}
        return named >= {stack.kafka.topic(topic).encode() for topic in (REQUESTS, *UNREADABLE)}

    assert holds_within(WITHIN_S, are_buried)
    scribe.write(CONTROL, None, key=b"tenant/canary-garbage")


def await_rows(everywhere: Everywhere, ids: Sequence[str]) -> None:
    """Strangers' requests have rows too, under no tenant."""

    def are_stored() -> bool:
        content = dict(everywhere.rows())["table call_rows"].decode()
        return all(f'"{request_id}"' in content for request_id in ids)

    assert holds_within(WITHIN_S, are_stored)


def written_by_us(everywhere: Everywhere) -> list[tuple[str, Delivery]]:
    """Without what a producer, or this test, has written: dead letters of it are the stages' own work."""
    return [
        (topic, record)
        for topic, record in everywhere.records()
        if topic == "dlq" or (topic != REQUESTS.name and record.value != GARBAGE)
    ]


def values_of(records: Iterable[tuple[str, Delivery]], topics: frozenset[str]) -> Iterator[tuple[str, bytes]]:
    for topic, record in records:
        if topic in topics:
            yield f"{topic}/{record.partition}/{record.offset}", record.value or b""


def test_what_is_looked_for_was_asked_and_answered(ended: Everywhere) -> None:
    records = list(ended.records())
    asked = PAYLOADS.in_places(values_of(records, frozenset({REQUESTS.name})))
    given = ANSWERS.in_places(values_of(records, frozenset({RESPONSES.name})))
    assert {each.canary for each in asked} >= PROMPTS.keys()
    assert len(list(given)) >= len(ANSWERED)


def test_nothing_that_a_process_wrote_down_holds_a_key_a_prompt_or_an_answer(ended: Everywhere) -> None:
    files = list(ended.files())
    assert {"validate.log", "invoke.log", "watch.log", "broker.log"} <= {file.name for file in files}
    assert list(ALL.in_files(files)) == []


def test_no_metric_and_no_health_holds_any(ended: Everywhere) -> None:
    places = list(ended.endpoints())
    assert all(content for _, content in places)
    assert list(ALL.in_places(places)) == []


def test_no_command_shows_any(ended: Everywhere) -> None:
    places = list(ended.commands())
    assert any(b"no_request_id" in content for _, content in places)
    assert list(ALL.in_places(places)) == []


def test_no_row_holds_any(ended: Everywhere) -> None:
    tables = dict(ended.rows())
    assert RUN.encode() in tables["table call_rows"]
    assert list(ALL.in_places(tables.items())) == []


def test_a_key_is_on_no_topic_but_the_one_it_was_sent_to(ended: Everywhere) -> None:
    records = written_by_us(ended)
    assert list(SECRETS.in_places(values_of(records, ALL_TOPICS))) == []
    assert list(SECRETS.in_places(labels_of(topic, record) for topic, record in records)) == []


def test_prompts_and_answers_are_on_their_topics_and_in_no_key_or_header(ended: Everywhere) -> None:
    records = written_by_us(ended)
    assert list(PAYLOADS.in_places(values_of(records, BESIDE_PAYLOADS))) == []
    assert list(PAYLOADS.in_places(labels_of(topic, record) for topic, record in records)) == []


def test_no_error_repeats_what_was_asked_or_what_a_provider_said_of_it(ended: Everywhere) -> None:
    told: dict[str, str] = {}
    for topic, record in written_by_us(ended):
        if topic == RESPONSES.name:
            response = Response.decode(record.value or b"")
            told[f"response {response.request_id}"] = "" if response.error is None else response.error.encode().decode()
        if topic == COMPLETIONS.name:
            completion = Completion.decode(record.value or b"")
            said = [completion.failure, *completion.attempts]
            told[f"attempts {completion.ticket.request_id}"] = " ".join(e.encode().decode() for e in said if e)
    assert {f"attempts {model}-{RUN}" for model in FAILED} <= told.keys()
    assert all("provider" in told[f"response {model}-{RUN}"].lower() for model in FAILED)
    assert list(ALL.in_places((where, text.encode()) for where, text in told.items())) == []

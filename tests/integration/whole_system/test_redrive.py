"""Dead letters of a running pipeline are given back, and lead to the answers that they kept from being given."""

from pathlib import Path
from uuid import uuid4

import pytest

from schemas.base import dump_json, load_json
from schemas.flow import Admitted
from schemas.partition import partition_for
from schemas.topics import ADMITTED, AUDIT, DEAD_LETTERS
from scripts.cli.kafka import reach
from scripts.cli.topic_reader import TopicReader
from scripts.local.stack import LocalStack
from streams.runtime.deadletter import dead_letter_headers
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import DeadLetter
from tests.integration.conversation import Conversation
from tests.integration.millrace import Ended, Millrace, Scribe, environment_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@pytest.fixture
def millrace(stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Millrace:
    monkeypatch.chdir(tmp_path)
    return Millrace(environment_of(stack.kafka))


@pytest.fixture
def broken(stack: LocalStack, conversation: Conversation) -> tuple[str, str]:
    """A request whose event the cache could not read, and the place of its dead letter."""
    request_id = f"broken-{uuid4().hex[:8]}"
    conversation.ask(request_id)
    conversation.answer(request_id)
    failing = f"{request_id}-b"
    return failing, _bury(stack, conversation, failing, like=request_id)


def _admitted(stack: LocalStack, request_id: str) -> Admitted:
    with TopicReader(reach(stack.kafka.bootstrap_servers), ADMITTED) as reader:
        said = f'"request_id":"{request_id}"'.encode()
        (value,) = [value for record in reader.read(reader.spans()) if said in (value := record.value or b"")]
    return Admitted.decode(value)


def _bury(stack: LocalStack, talk: Conversation, request_id: str, *, like: str) -> str:
    """Has the stage meet an event with a fault in it: its requester can be made out, its question too."""
    whole = load_json(_admitted(stack, like).encode())
    assert isinstance(whole, dict)
    ticket = whole["ticket"]
    assert isinstance(ticket, dict)
    spoilt = {**whole, "namespace": 5, "ticket": {**ticket, "request_id": request_id}}
    offset = Scribe(stack.kafka).write(ADMITTED, dump_json(spoilt), key=request_id.encode(), partition=0)
    response = talk.answer(request_id)
    assert response.error is not None
    assert response.error.code == "internal_error"
    return _place(talk, stack.kafka.topic(ADMITTED), offset)


def _place(talk: Conversation, topic: str, offset: int) -> str:
    def is_it(letter: Delivery) -> bool:
        said = dict(letter.headers)
        return (said.get("millrace-topic"), said.get("millrace-offset")) == (topic.encode(), str(offset).encode())

    letter = talk.wait(f"a dead letter about {topic}/0/{offset}", lambda: next(filter(is_it, talk.dead_letters), None))
    return f"{letter.partition}/{letter.offset}"


def _redriven(millrace: Millrace, *arguments: str) -> Ended:
    return millrace("dlq", "redrive", *arguments, "--because", "it is repaired", "--yes", "--json")


def test_a_request_that_failed_gets_its_real_answer_under_an_id_that_leads_back_to_it(
    millrace: Millrace, conversation: Conversation, broken: tuple[str, str], stack: LocalStack
) -> None:
    request_id, place = broken

    tried = millrace("dlq", "redrive", place, "--dry-run", "--json")
    (plan,) = tried.json
    again_id = plan["request_id"]
    assert again_id.startswith(f"{request_id}~redrive-admitted.0.")
    assert (plan["tenant"], plan["lost"], plan["unproven"]) == ("acme", [], None)
    ended = _redriven(millrace, place)

    assert [each["root_request_id"] for each in ended.json] == [request_id]
    response = conversation.answer(again_id)
    assert (response.status, response.root_request_id) == ("ok", request_id)
    assert [each.status for each in conversation.answers(request_id)] == ["failed"]
    (listed,) = [
        each for each in millrace("dlq", "list", "--json").json if f"{each['partition']}/{each['offset']}" == place
    ]
    assert listed["redriven"]
    with TopicReader(reach(stack.kafka.bootstrap_servers), AUDIT) as reader:
        told = [record for record in reader.read(reader.spans()) if record.key == f"dead_letter/{place}".encode()]
    assert len(told) == 1


def test_what_was_given_back_is_given_back_again_only_where_that_is_meant(
    millrace: Millrace, conversation: Conversation, broken: tuple[str, str]
) -> None:
    """Again it is the same request, as after a redrive of which only a part arrived; anew it is one more."""
    request_id, place = broken
    first = _redriven(millrace, place).json[0]["request_id"]
    assert conversation.answer(first).status == "ok"

    refused = _redriven(millrace, place)
    assert refused.status == 1
    assert "with --again" in refused.json[0]["what"]
    again = _redriven(millrace, place, "--again")
    anew = _redriven(millrace, place, "--anew")

    assert again.json[0]["request_id"] == first
    assert anew.json[0]["request_id"] == f"{first}~3"
    assert conversation.answer(f"{first}~3").status == "ok"
    assert conversation.answer(f"{first}~3").root_request_id == request_id
    assert len(conversation.answers(first)) == 1, "the same request is answered once"


def test_who_waits_under_the_old_id_is_told_where_the_answer_comes_when_another_model_is_asked(
    millrace: Millrace, conversation: Conversation, stack: LocalStack
) -> None:
    fresh, value, key, partition = _like_another(stack, conversation)
    place = _buried_unread(stack, value, key, partition)

    ended = _redriven(millrace, place, "--model", "fast")

    again_id = ended.json[0]["request_id"]
    told = conversation.answer(fresh)
    assert (told.status, told.error is not None and again_id in told.error.message) == ("failed", True)
    answer = conversation.answer(again_id)
    assert (answer.status, answer.root_request_id) == ("ok", fresh)
    assert f"{fresh} is told so" in ended.json[0]["what"]


def test_an_event_that_nobody_was_told_of_goes_back_and_is_answered_under_its_own_id(
    millrace: Millrace, conversation: Conversation, stack: LocalStack
) -> None:
    """As if an older release had not been able to read it: with a header of its own dead letter that says so."""
    fresh, value, key, partition = _like_another(stack, conversation)
    place = _buried_unread(stack, value, key, partition)

    (planned,) = millrace("dlq", "redrive", place, "--dry-run", "--json").json
    assert planned["what"] == f"goes back as it is, to {stack.kafka.topic(ADMITTED)}/{partition}"
    assert _redriven(millrace, place).status == 0

    response = conversation.answer(fresh)
    assert (response.status, response.root_request_id) == ("ok", None)


def _like_another(stack: LocalStack, talk: Conversation) -> tuple[str, bytes, bytes, int]:
    """An event of a request that was never asked, its id, and where it belongs."""
    request_id = f"unread-{uuid4().hex[:8]}"
    talk.ask(request_id)
    talk.answer(request_id)
    event = _admitted(stack, request_id)
    fresh, key = f"{request_id}-b", event.namespace.encode()
    value = event.encode().replace(f'"request_id":"{request_id}"'.encode(), f'"request_id":"{fresh}"'.encode())
    return fresh, value, key, partition_for(key, stack.kafka.partitions)


def _buried_unread(stack: LocalStack, value: bytes, key: bytes, partition: int) -> str:
    cause = Delivery(stack.kafka.topic(ADMITTED), partition, 0, key, value, (), 1)
    headers = dead_letter_headers(cause, "cache", DeadLetter("unreadable", "DecodeError"), 1)
    offset = Scribe(stack.kafka).write(DEAD_LETTERS, value, key=key, partition=partition, headers=headers)
    return f"{partition}/{offset}"


def test_counts_are_by_stage_and_reason_and_a_choice_is_bounded(
    millrace: Millrace, conversation: Conversation, broken: tuple[str, str]
) -> None:
    conversation.dead_letter(conversation.send(b"hello"))
    counted = {(each["stage"], each["reason"]): each for each in millrace("dlq", "counts", "--json").json}
    assert counted["cache", "unreadable"]["letters"] >= 1
    assert counted["validate", "no_request_id"]["letters"] >= 1
    chosen = millrace("dlq", "redrive", "--stage", "validate", "--limit", "1", "--dry-run", "--json")
    assert chosen.status == 1
    assert [each["fit"] for each in chosen.json] == [False]
    assert "have its producer send it again" in chosen.json[0]["what"]
    unsaid = millrace("dlq", "redrive", broken[1], "--yes")
    assert (unsaid.status, unsaid.err.strip()) == (
        2,
        "millrace: --because: say why, in up to 500 characters; or see first, with --dry-run",
    )

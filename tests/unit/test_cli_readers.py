"""Lines of a file as requests."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.request import Request
from scripts.cli.fault import Fault
from scripts.cli.publish import authorization, paced
from scripts.cli.readers import Asker, Publication, publications

ASKER = Asker("acme", "run-1/")
WHERE = "prompts.jsonl, line 3"
TASK = {
    "id": "user_oriented_task_0",
    "motivation_app": "Grammarly",
    "instruction": "Make it shorter.",
    "instances": [{"input": "A long text.", "output": "A text."}, {"input": "", "output": "?"}],
}
QUESTION = {"question_id": 81, "category": "writing", "turns": ["Write a post.", "Rewrite it."]}


def line(content: object) -> bytes:
    return json.dumps(content).encode() + b"\n"


def test_an_instruction_is_asked_once_for_each_of_its_inputs() -> None:
    first, second = (Request.decode(each.value) for each in publications(line(TASK), WHERE, ASKER))
    assert first.request_id == "run-1/user_oriented_task_0.0"
    assert first.messages[0].content == "Make it shorter.\n\nA long text."
    assert (second.request_id, second.messages[0].content) == ("run-1/user_oriented_task_0.1", "Make it shorter.")
    assert first.labels == {"feature": "Grammarly"}
    assert (first.tenant_id, first.model) == ("acme", "auto")


def test_of_a_question_with_several_turns_the_first_is_asked() -> None:
    (only,) = publications(line(QUESTION), WHERE, Asker("acme", "", "fast"))
    request = Request.decode(only.value)
    assert (request.request_id, request.model, request.labels) == ("mt_bench_81", "fast", {"feature": "writing"})
    assert request.messages[0].content == "Write a post."
    assert only.key == b"acme"


def test_an_expected_answer_goes_nowhere() -> None:
    assert all(b"A text." not in each.value for each in publications(line(TASK), WHERE, ASKER))


@pytest.mark.parametrize(
    "content",
    [
        {"request_id": "r1", "tenant_id": "globex", "model": "fast", "messages": [{"role": "user", "content": "hi"}]},
        {"request_id": "r1", "tenant_id": "globex", "mesages": []},
        {"no": "request at all"},
    ],
)
def test_an_event_goes_out_as_it_is_written_valid_or_not(content: dict[str, object]) -> None:
    (only,) = publications(b"  " + line(content), WHERE, ASKER)
    assert only.value == line(content).strip()
    assert only.key == (b"globex" if "tenant_id" in content else None)


@pytest.mark.parametrize("blank", [b"", b"\n", b" \t \r\n"])
def test_a_blank_line_is_no_request(blank: bytes) -> None:
    assert publications(blank, WHERE, ASKER) == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"{", "prompts.jsonl, line 3 is not JSON: "),
        (b"\xff\xfe", "prompts.jsonl, line 3 is not JSON: "),
        (b"[1]", "prompts.jsonl, line 3 is not a JSON object"),
        (line({**TASK, "instances": "none"}), "prompts.jsonl, line 3 makes no request: instances: "),
        (line({**TASK, "id": 7}), "prompts.jsonl, line 3 makes no request: id: "),
        (line({**QUESTION, "turns": []}), "prompts.jsonl, line 3 makes no request: turns: "),
        (line({**QUESTION, "category": "x" * 300}), "prompts.jsonl, line 3 makes no request: labels.feature: "),
    ],
)
def test_a_line_that_cannot_be_read_is_named(text: bytes, complaint: str) -> None:
    with pytest.raises(Fault) as refused:
        publications(text, WHERE, ASKER)
    assert str(refused.value).startswith(complaint)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    try:
        found = publications(text, WHERE, ASKER)
    except Fault:
        return
    assert len(found) <= 1


ITEMS = [Publication(None, bytes([number])) for number in range(5)]


class Clock:
    """Time passes only while somebody waits."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.waits: list[float] = []

    def read(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now_s += seconds


def test_a_rate_spreads_requests_evenly() -> None:
    clock = Clock()
    assert list(paced(ITEMS, 4, now_s=clock.read, wait_s=clock.wait)) == ITEMS
    assert clock.waits == [0, 0.25, 0.25, 0.25, 0.25]


def test_a_request_that_took_long_is_caught_up_with() -> None:
    clock = Clock()
    requests = paced(ITEMS, 4, now_s=clock.read, wait_s=clock.wait)
    next(requests)
    clock.now_s += 0.6
    assert len(list(requests)) == 4
    assert clock.waits == pytest.approx([0, 0, 0, 0.15, 0.25])


def test_without_a_rate_nothing_waits() -> None:
    clock = Clock()
    assert list(paced(ITEMS, None, now_s=clock.read, wait_s=clock.wait)) == ITEMS
    assert clock.waits == []


def test_a_key_file_becomes_the_header_that_proves_a_tenant(tmp_path: Path) -> None:
    path = tmp_path / "acme.key"
    path.write_text("acme-demo-key\n")
    assert authorization(path) == [("authorization", b"Bearer acme-demo-key")]
    assert authorization(None) == []


@pytest.mark.parametrize("content", [b"", b"two keys", b"one\ntwo", b"\xff\xfe"])
def test_a_key_file_without_one_key_is_refused_without_showing_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "acme.key"
    path.write_bytes(content)
    with pytest.raises(Fault, match="--key-file") as refused:
        authorization(path)
    assert "two" not in str(refused.value).replace(str(path), "")


@pytest.mark.parametrize(
    ("name", "count"), [("user_oriented_instructions.jsonl", 252), ("mt_bench_questions.jsonl", 80)]
)
def test_every_line_of_the_real_prompts_becomes_requests_with_ids_of_their_own(
    shared_data: Path, name: str, count: int
) -> None:
    lines = (shared_data / "prompts" / name).read_bytes().splitlines()
    requests = [Request.decode(each.value) for line in lines for each in publications(line, name, ASKER)]
    assert len(requests) == len({each.request_id for each in requests}) == count
    assert all(each.labels["feature"] for each in requests)

"""Two hundred ask the same at once, and it is paid for once: also when a call fails, hangs, or workers are killed."""

import signal
import time
from collections import Counter
from uuid import uuid4

import httpx2
import orjson
import pytest

from schemas.control import Tenant
from schemas.postprocess import PostProcess
from schemas.request import Priority
from schemas.response import Response
from schemas.topics import CONTROL
from scripts.cli.config_diff import Added
from scripts.cli.control_topic import write_control
from scripts.cli.kafka import LiveCluster
from scripts.local.stack import LocalStack
from scripts.stack.readiness import holds_within
from tests.integration.conversation import Conversation

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

CROWD = 200


class Crowd:
    """Asks one question under many ids, and counts what the provider charges meanwhile."""

    def __init__(self, stack: LocalStack, conversation: Conversation) -> None:
        self._url = stack.simulator_url or ""
        self._conversation = conversation
        self._name = uuid4().hex[:8]
        self._billed_before = len(self._bill())
        self._asked_before = self._asked()

    def ask(self, faults: str, priority: Priority = "normal", tenant: str = "local") -> None:
        question = [{"role": "user", "content": f"{faults} What is {self._name}?"}]
        for number in range(CROWD):
            self._conversation.ask(self._id(number), key=None, tenant_id=tenant, messages=question, priority=priority)

    def answers(self) -> list[Response]:
        return [self._conversation.answer(self._id(number)) for number in range(CROWD)]

    @property
    def billed(self) -> list[str]:
        """How each call ended that was charged for."""
        return [orjson.loads(line)["kind"] for line in self._bill()[self._billed_before :]]

    @property
    def asked(self) -> int:
        """Calls that reached the provider, charged for or not."""
        return self._asked() - self._asked_before

    def _id(self, number: int) -> str:
        return f"crowd-{self._name}-{number}"

    def _bill(self) -> list[bytes]:
        return httpx2.get(f"{self._url}/_bill/lines").content.splitlines()

    def _asked(self) -> int:
        return sum(httpx2.get(f"{self._url}/_control/stats").json()["requests"].values())


@pytest.fixture
def crowd(stack: LocalStack, conversation: Conversation) -> Crowd:
    return Crowd(stack, conversation)


def kinds(answers: list[Response]) -> Counter[str]:
    return Counter(answer.cache for answer in answers)


@pytest.mark.parametrize(
    ("faults", "attempts"),
    [
        ("[[fault:slow delay=3 times=1]]", 1),
        ("[[fault:503 times=1 provider=openai]] [[fault:slow delay=3 times=1]]", 2),
        ("[[fault:hang times=1 provider=openai]]", 2),
    ],
    ids=["plain", "the first call fails", "the first call times out"],
)
def test_two_hundred_who_ask_the_same_at_once_cost_one_call(crowd: Crowd, faults: str, attempts: int) -> None:
    crowd.ask(faults, priority="high" if "hang" in faults else "normal")

    answers = crowd.answers()

    assert {answer.status for answer in answers} == {"ok"}
    assert crowd.billed == ["complete"]
    assert crowd.asked == attempts
    assert kinds(answers)["none"] == 1
    assert kinds(answers)["coalesced"] > CROWD / 2, "the others were to wait, and not to come when all was over"
    (paid,) = (answer.cost_usd for answer in answers if answer.cache == "none")
    (saved,) = {answer.saved_usd for answer in answers if answer.cache != "none"}
    assert saved is not None
    # what the call that hung has cost nobody knows: no sum is told of it, and what the answer cost was saved
    assert paid == (None if "hang" in faults else saved)
    assert {answer.cost_usd for answer in answers if answer.cache != "none"} == {0}


def test_two_hundred_who_ask_the_same_at_once_are_given_an_answer_that_is_not_kept_and_it_costs_one_call(
    stack: LocalStack, conversation: Conversation
) -> None:
    name = f"wanting-{uuid4().hex[:8]}"
    wants_more = PostProcess(min_chars=20_000, otherwise="answer")
    cluster = LiveCluster(stack.kafka, {stack.kafka.topic(CONTROL): 1})
    write_control(cluster, [Added(Tenant(name=name, open=True, postprocess=wants_more))])
    assert holds_within(30, lambda: _steps_of_one(conversation, name) == {"length": "too_short"})
    crowd = Crowd(stack, conversation)

    crowd.ask("[[fault:slow delay=3 times=1]]", tenant=name)
    answers = crowd.answers()

    assert {answer.status for answer in answers} == {"ok"}
    assert len({answer.output.content for answer in answers if answer.output is not None}) == 1
    assert [answer.steps for answer in answers] == [{"length": "too_short"}] * CROWD
    late = CROWD - kinds(answers)["coalesced"]
    assert crowd.asked == len(crowd.billed) == late <= 3, "once for those who waited, and for who came after the end"


def _steps_of_one(conversation: Conversation, tenant: str) -> dict[str, str]:
    request_id = uuid4().hex
    question = [{"role": "user", "content": f"What is {request_id}?"}]
    conversation.ask(request_id, key=None, tenant_id=tenant, messages=question)
    return conversation.answer(request_id).steps


def test_a_failure_that_remains_is_told_to_all_who_waited_and_nobody_asks_again_for_each_of_them(crowd: Crowd) -> None:
    crowd.ask("[[fault:hang times=9]]", priority="high")

    answers = crowd.answers()

    assert {answer.status for answer in answers} == {"failed"}
    assert crowd.billed == []
    assert crowd.asked <= 6, "the attempts of one request, or of two where some came after the end of the first"
    assert kinds(answers)["coalesced"] > CROWD / 2


def test_when_the_workers_that_ask_and_that_hold_the_others_back_are_killed_one_call_is_made_again(
    crowd: Crowd, stack: LocalStack
) -> None:
    crowd.ask("[[fault:slow delay=6 times=1]]")
    assert holds_within(20, lambda: crowd.asked == 1)
    for stage in ("cache", "invoke"):
        stack.supervisor.signal(stage, signal.SIGKILL)
    killed_s = time.monotonic()

    answers = crowd.answers()

    assert {answer.status for answer in answers} == {"ok"}
    assert crowd.billed[-1] == "complete"
    assert len(crowd.billed) == crowd.asked <= 2, "what was under way at the kill, and once more"
    assert kinds(answers)["none"] == 1
    assert time.monotonic() - killed_s < 60

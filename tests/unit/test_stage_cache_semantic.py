"""A question that means the same is given the same answer, where its tenant wants that and nothing else differs."""

from typing import Any

import pytest
from msgspec.structs import replace

from schemas.cached import Fill, Invalidated
from schemas.control import Semantic
from schemas.flow import Admitted, CacheSlot, Completion, Meaning
from schemas.prompt import AssistantMessage, Prompt, SystemMessage, TextPart, UserMessage
from schemas.response import FunctionCall, Output, ToolCall
from streams.control import ControlView
from streams.keeping import fill_of
from streams.questions import prompt_of, summary_of
from streams.runtime.outcome import Finish, Forward, Park
from streams.semantic.embedder import Unready
from streams.semantic.lookup import WAITS_MS
from streams.state.kept_answers import KeptAnswers
from tests.fakes.embedder import ToldEmbedder, vector
from tests.unit.caching import Cache, fill_for, hit, led
from tests.unit.examples import NOW_MS, admitted, answer, carried, control, finished, tenant

ASKED = "How do I reset my password?"
ALIKE = "How can I reset my password?"
NEAR = "What about passwords?"
DENIED = "How do I not reset my password?"
YOURS = "How do I reset your password?"
CALL = ToolCall(id="c", function=FunctionCall(name="f", arguments="{}"))
VECTORS = {
    ASKED: vector(1.0, 0.0, 0.0),
    ALIKE: vector(0.98, 0.199, 0.0),
    NEAR: vector(0.9, 0.436, 0.0),
    DENIED: vector(0.999, 0.045, 0.0),
    YOURS: vector(0.999, 0.045, 0.0),
}


def cache(state: Unready | None = None, **changes: Any) -> Cache:
    wanted: dict[str, Any] = {"semantic": Semantic(), **changes}
    return Cache(control(tenant(**wanted)), KeptAnswers(embedder=ToldEmbedder(VECTORS, state)))


def kept(event: Admitted, slot: CacheSlot, **changes: Any) -> Fill:
    return replace(fill_for(event), meaning=slot.meaning, **changes)


def answered(**changes: Any) -> Cache:
    """With an answer to ASKED."""
    made = cache(**changes)
    event = admitted("r-0", text=ASKED)
    slot = led(made.take(event)).slot
    assert slot is not None
    made.learn(kept(event, slot))
    return made


def asked_with(prompt: Prompt, request_id: str = "r-1") -> Admitted:
    event = admitted(request_id)
    summary = summary_of(event.ticket, prompt)
    return replace(event, prompt=carried(prompt), namespace=summary.namespace, summary=summary)


def test_a_question_that_means_the_same_is_given_the_answer_with_its_similarity_and_what_it_saved() -> None:
    completion = hit(answered().take(admitted("r-1", text=ALIKE)))

    assert (completion.cache, completion.answer) == ("semantic", answer("Yes."))
    assert completion.saved is not None
    assert completion.saved.similarity == pytest.approx(0.98, abs=0.001)
    assert completion.saved.request_id == "r-0"
    assert completion.attempts == ()


def test_an_exact_answer_comes_first_and_is_not_compared() -> None:
    made = answered()
    assert isinstance(made.state.embedder, ToldEmbedder)
    made.state.embedder.asked.clear()

    assert hit(made.take(admitted("r-1", text=ASKED))).cache == "exact"
    assert made.state.embedder.asked == []


def test_whoever_did_not_ask_for_it_is_neither_compared_nor_embedded() -> None:
    made = answered()
    made.control = control(tenant())
    assert isinstance(made.state.embedder, ToldEmbedder)
    made.state.embedder.asked.clear()

    miss = led(made.take(admitted("r-1", text=ALIKE)))

    assert miss.slot is not None
    assert miss.slot.meaning is None
    assert made.state.embedder.asked == []


@pytest.mark.parametrize(("threshold", "is_hit"), [(0.97, True), (0.99, False)])
def test_the_tenant_says_how_similar_is_similar_enough(threshold: float, is_hit: bool) -> None:
    outcome = answered(semantic=Semantic(threshold=threshold)).take(admitted("r-1", text=ALIKE))

    assert isinstance(outcome, Finish) == is_hit


def test_what_is_near_but_below_the_threshold_is_asked_and_kept_with_its_own_meaning() -> None:
    miss = led(answered().take(admitted("r-1", text=NEAR)))

    assert miss.slot is not None
    assert miss.slot.meaning is not None
    assert miss.slot.refused_similarity is None


@pytest.mark.parametrize("text", [DENIED, YOURS])
def test_what_is_similar_but_another_question_is_asked_and_how_similar_it_was_is_told(text: str) -> None:
    miss = led(answered().take(admitted("r-1", text=text)))

    assert miss.slot is not None
    assert miss.slot.refused_similarity == pytest.approx(0.999, abs=0.001)


@pytest.mark.parametrize(
    "other",
    [
        Prompt(messages=(SystemMessage(role="system", content="Be brief."), UserMessage(role="user", content=ALIKE))),
        Prompt(
            messages=(
                UserMessage(role="user", content="Hi"),
                AssistantMessage(role="assistant", content="Hello"),
                UserMessage(role="user", content=ALIKE),
            )
        ),
        Prompt(messages=(UserMessage(role="user", content=ALIKE, name="ada"),)),
    ],
    ids=["another system prompt", "other turns before it", "somebody else speaks"],
)
def test_only_the_last_message_may_be_put_differently(other: Prompt) -> None:
    led(answered().take(asked_with(other)))


def test_a_message_in_parts_is_compared_as_its_text() -> None:
    parts = (TextPart(type="text", text=ALIKE),)

    assert hit(answered().take(asked_with(Prompt(messages=(UserMessage(role="user", content=parts),))))).cache == (
        "semantic"
    )


def test_another_tenant_is_never_given_it() -> None:
    made = answered()
    made.control = control(tenant(semantic=Semantic()), tenant("globex", semantic=Semantic()))

    led(made.take(admitted("r-1", text=ALIKE, tenant_id="globex")))


def test_refresh_asks_and_what_comes_back_is_compared_too() -> None:
    made = answered()
    event = admitted("r-1", text=ALIKE, cache="refresh")

    slot = led(made.take(event)).slot

    assert slot is not None
    assert slot.meaning is not None


def test_only_is_given_what_means_the_same_and_never_asks() -> None:
    made = answered()

    assert hit(made.take(admitted("r-1", text=ALIKE, cache="only"))).cache == "semantic"
    assert finished(made.take(admitted("r-2", text=NEAR, cache="only"))).status == "rejected"


def test_an_expired_answer_and_one_that_was_taken_back_are_given_to_nobody() -> None:
    made = answered()
    led(made.take(admitted("r-1", text=ALIKE), at_ms=NOW_MS + 3_600_000))

    made = answered()
    made.learn(Invalidated(tenant_id="acme", before_ms=NOW_MS))
    led(made.take(admitted("r-1", text=ALIKE)))


@pytest.mark.parametrize(
    "unfit",
    [
        {"finish_reason": "tool_calls", "output": Output(tool_calls=(CALL,))},
        {"finish_reason": "length"},
    ],
    ids=["a tool call", "cut at a length"],
)
def test_what_calls_a_tool_or_was_cut_is_given_to_the_very_question_only(unfit: dict[str, Any]) -> None:
    made, event = cache(), admitted("r-0", text=ASKED)
    slot = led(made.take(event)).slot
    assert slot is not None
    made.learn(kept(event, slot, answer=answer(**unfit)))

    assert hit(made.take(admitted("r-1", text=ASKED))).cache == "exact"
    led(made.take(admitted("r-2", text=ALIKE)))


def test_while_its_vector_is_made_a_question_waits_and_then_is_asked_without() -> None:
    made = answered()
    assert isinstance(made.state.embedder, ToldEmbedder)
    made.state.embedder.state = "pending"
    event = admitted("r-1", text=ALIKE)

    parked = made.take(event)
    assert isinstance(parked, Park)
    assert parked.until_ms == NOW_MS + 10
    again = made.take(event, at_ms=NOW_MS + 300, parked_ms=NOW_MS)
    assert isinstance(again, Park)
    assert again.until_ms == NOW_MS + 600, "to look is dear where many wait"
    miss = led(made.take(event, at_ms=NOW_MS + WAITS_MS, parked_ms=NOW_MS))
    assert miss.slot is not None
    assert miss.slot.meaning is None


@pytest.mark.parametrize("late_ms", [0, 1, 90])
def test_no_question_waits_longer_for_its_vector_than_it_is_said_however_often_it_is_looked_at(late_ms: int) -> None:
    made, event = cache("pending"), admitted("r-1", text=ASKED)
    outcome, at_ms = made.take(event), NOW_MS
    while isinstance(outcome, Park):
        assert at_ms < outcome.until_ms <= NOW_MS + WAITS_MS
        at_ms = outcome.until_ms + late_ms
        outcome = made.take(event, at_ms=at_ms, parked_ms=NOW_MS)

    assert led(outcome).slot is not None
    assert at_ms <= NOW_MS + WAITS_MS + late_ms


def test_who_waits_for_a_vector_is_told_when_its_time_is_up() -> None:
    made = cache("pending")
    hurried = admitted("r-1", text=ASKED, deadline_ms=NOW_MS + 400)

    parked = made.take(hurried, at_ms=NOW_MS + 300, parked_ms=NOW_MS)

    assert isinstance(parked, Park)
    assert parked.until_ms == NOW_MS + 400
    assert finished(made.take(hurried, at_ms=NOW_MS + 400, parked_ms=NOW_MS)).status == "expired"


def test_when_its_vector_is_there_a_question_that_waited_is_compared() -> None:
    made = answered()

    assert hit(made.take(admitted("r-1", text=ALIKE), at_ms=NOW_MS + 50, parked_ms=NOW_MS)).cache == "semantic"


def test_without_an_embedder_questions_are_asked_at_once() -> None:
    unavailable = cache("unavailable")
    led(unavailable.take(admitted("r-1", text=ALIKE)))

    led(Cache(control(tenant(semantic=Semantic())), KeptAnswers()).take(admitted("r-1", text=ALIKE)))


def test_a_new_worker_compares_with_what_is_on_the_topic() -> None:
    made = answered()
    successor = Cache(made.control, KeptAnswers(embedder=ToldEmbedder(VECTORS)))
    for record in made.log:
        successor.learn(type(record).decode(record.encode()))

    assert hit(successor.take(admitted("r-1", text=ALIKE))).cache == "semantic"


def test_the_meaning_travels_with_the_question_and_nothing_of_its_words() -> None:
    made = cache()
    miss = led(made.take(admitted("r-0", text=ASKED)))
    assert miss.slot is not None
    assert isinstance(miss.slot.meaning, Meaning)

    written = miss.slot.encode()

    assert b"password" not in written
    assert CacheSlot.decode(written) == miss.slot
    completion = Completion(ticket=miss.ticket, status="ok", answer=answer(), slot=miss.slot)
    assert fill_of(completion, [], NOW_MS) is None, "what was not paid for is not kept"
    assert prompt_of(miss.prompt).messages[-1].content == ASKED


def test_of_many_who_ask_the_same_at_once_one_leads_though_all_wait_for_the_vector() -> None:
    made = cache("pending")
    for number in range(3):
        assert isinstance(made.take(admitted(f"r-{number}", text=ASKED)), Park)
    assert isinstance(made.state.embedder, ToldEmbedder)
    made.state.embedder.state = None

    outcomes = [made.take(admitted(f"r-{n}", text=ASKED), at_ms=NOW_MS + 20, parked_ms=NOW_MS) for n in range(3)]

    led(outcomes[0])
    assert all(isinstance(each, Park) for each in outcomes[1:])


def test_the_view_of_a_configuration_without_the_tenant_compares_nothing() -> None:
    made = answered()
    made.control = ControlView()

    assert isinstance(made.take(admitted("r-1", text=ALIKE)), Forward)

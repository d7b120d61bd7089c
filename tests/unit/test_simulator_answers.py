"""What the simulated model says is a function of the seed and the request, and is counted as it is tokenized."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.simulator import dice, tokens
from scripts.simulator.answers import Author
from scripts.simulator.ask import Ask, Refusal
from scripts.simulator.latency import Tempo
from scripts.simulator.openai_request import read
from scripts.simulator.prices import Catalog, Encoding
from scripts.simulator.prose import WORDS
from scripts.simulator.shapes import Object

CATALOG = Catalog.load()
AUTHOR = Author(seed=7, median_tokens=120, spread=0.6)
WEATHER: Object = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}
CLOCK: Object = {"type": "function", "function": {"name": "get_time"}}


def asked(prompt: str, **fields: object) -> Ask:
    body: Object = {"model": "gpt-4o", "messages": [{"role": "user", "content": prompt}], **fields}
    ask = read(CATALOG, "/v1/chat/completions", body)
    assert not isinstance(ask, Refusal), ask
    return ask


def test_the_same_request_is_answered_the_same_by_every_author_with_the_seed() -> None:
    ask = asked("Tell me about rivers.")
    assert AUTHOR.compose(ask) == Author(seed=7, median_tokens=120, spread=0.6).compose(ask)


def test_another_seed_or_another_prompt_gives_another_answer() -> None:
    ask = asked("Tell me about rivers.")
    text = AUTHOR.compose(ask).text.text
    assert Author(seed=8, median_tokens=120, spread=0.6).compose(ask).text.text != text
    assert AUTHOR.compose(asked("Tell me about roads.")).text.text != text


def test_streaming_or_another_label_does_not_change_the_answer() -> None:
    plain = AUTHOR.compose(asked("Tell me about rivers."))
    assert plain == AUTHOR.compose(asked("Tell me about rivers.", stream=True, user="ada", metadata={"run": "2"}))


@pytest.mark.parametrize("encoding", tokens.ENCODINGS)
def test_every_filler_word_is_one_token(encoding: Encoding) -> None:
    forms = [form for word in WORDS for form in (f" {word}", f" {word.capitalize()}", word.capitalize())]
    assert [form for form in forms if tokens.count(encoding, form) != 1] == []


@given(number=st.integers(0, 2**64 - 1), length=st.integers(1, 400))
def test_prose_has_exactly_the_tokens_it_is_billed_for(number: int, length: int) -> None:
    answer = AUTHOR.compose(asked(f"{number} [[tokens:{length}]]"))
    assert answer.output == length == tokens.count("o200k_base", answer.text.text)


@given(text=st.text(max_size=60))
def test_pieces_add_up_to_the_text_and_to_its_tokens(text: str) -> None:
    for encoding in tokens.ENCODINGS:
        pieces = tokens.pieces(encoding, text)
        assert pieces.text == text
        assert pieces.total == tokens.count(encoding, text)


def test_a_commanded_answer_is_given_word_for_word() -> None:
    answer = AUTHOR.compose(asked('[[answer:{"a": [1, 2]}]]'))
    assert (answer.text.text, answer.finish) == ('{"a": [1, 2]}', "end")


def test_what_one_model_is_told_to_say_another_does_not() -> None:
    prompt = "[[answer_of:gpt-4o Hm.]] [[answer:Surely two crates.]]"
    assert AUTHOR.compose(asked(prompt)).text.text == "Hm."
    assert AUTHOR.compose(asked(prompt, model="gpt-4o-mini")).text.text == "Surely two crates."


def test_the_answer_ends_before_the_first_stop_sequence() -> None:
    answer = AUTHOR.compose(asked("[[answer:one two three four]]", stop=["four", " three"]))
    assert (answer.text.text, answer.finish, answer.stop) == ("one two", "stop", " three")


def test_the_answer_ends_at_the_token_limit() -> None:
    answer = AUTHOR.compose(asked("[[tokens:50]]", max_tokens=12))
    assert (answer.output, answer.finish) == (12, "length")


def test_a_limit_hit_before_the_stop_sequence_wins() -> None:
    answer = AUTHOR.compose(asked("[[answer:one two three four]]", stop="four", max_tokens=2))
    assert (answer.text.text, answer.finish, answer.stop) == ("one two", "length", None)


def test_thinking_is_counted_in_steps_of_64_and_grows_with_effort() -> None:
    prompts = [f"question {n}" for n in range(40)]

    def thought(effort: str) -> int:
        return sum(AUTHOR.compose(asked(p, model="o4-mini", reasoning_effort=effort)).reasoning for p in prompts)

    assert AUTHOR.compose(asked("question", model="o4-mini")).reasoning % 64 == 0
    assert 0 < thought("low") < thought("medium") < thought("high")


def test_models_that_do_not_think_have_no_reasoning_tokens() -> None:
    assert AUTHOR.compose(asked("question")).reasoning == 0


def test_a_limit_spent_on_thinking_leaves_no_answer() -> None:
    answer = AUTHOR.compose(asked("question", model="gpt-5", max_completion_tokens=40))
    assert (answer.reasoning, answer.text.text, answer.finish) == (40, "", "length")


@pytest.mark.parametrize("prompt", ["use get_weather for Oslo", "please get weather for Oslo", "[[tool:get_weather]]"])
def test_a_prompt_that_names_a_tool_gets_it_called_with_arguments_of_its_schema(prompt: str) -> None:
    answer = AUTHOR.compose(asked(prompt, tools=[WEATHER, CLOCK]))
    assert [call.name for call in answer.calls] == ["get_weather"]
    assert answer.finish == "tools"
    arguments = orjson.loads(answer.calls[0].arguments.text)
    assert set(arguments) == {"city", "days"}
    assert 1 <= arguments["days"] <= 7


def test_a_tool_may_have_the_longest_name_openai_allows() -> None:
    tool: Object = {"type": "function", "function": {"name": "n" * 64}}
    assert [call.name for call in AUTHOR.compose(asked("go", tools=[tool], tool_choice="required")).calls] == ["n" * 64]


def test_tools_nobody_names_are_not_called() -> None:
    assert AUTHOR.compose(asked("hello", tools=[WEATHER])).calls == ()


def test_a_required_tool_is_called_and_a_forbidden_one_is_not() -> None:
    assert [c.name for c in AUTHOR.compose(asked("hello", tools=[CLOCK], tool_choice="required")).calls] == ["get_time"]
    assert AUTHOR.compose(asked("use get_time", tools=[CLOCK], tool_choice="none")).calls == ()


def test_several_named_tools_are_called_at_once_unless_the_request_forbids_it() -> None:
    prompt = "get_weather and get_time"
    assert len(AUTHOR.compose(asked(prompt, tools=[WEATHER, CLOCK])).calls) == 2
    assert len(AUTHOR.compose(asked(prompt, tools=[WEATHER, CLOCK], parallel_tool_calls=False)).calls) == 1


@given(u=st.floats(1e-9, 1 - 1e-9))
def test_a_lognormal_draw_is_below_the_median_exactly_in_the_lower_half(u: float) -> None:
    assert (dice.lognormal(100, 0.5, u) < 100) == (u < 0.5)


def test_latency_repeats_with_the_request_and_is_silent_while_the_model_thinks() -> None:
    tempo = Tempo(seed=7, latency_ms=400, ttft_ms=100, spread=0, tokens_per_s=50)
    pace = tempo.pace(b"a request", reasoning_tokens=100)
    assert pace == tempo.pace(b"a request", reasoning_tokens=100)
    assert (pace.whole_s, pace.first_s, pace.token_s) == pytest.approx((0.4, 2.1, 0.02))


def test_latency_is_spread_around_its_median() -> None:
    tempo = Tempo(seed=7, latency_ms=400, spread=0.35)
    drawn = sorted(tempo.pace(f"request {n}".encode(), 0).whole_s for n in range(1_000))
    assert drawn[500] == pytest.approx(0.4, rel=0.08)
    # The 90th percentile of a lognormal is its median times exp(1.2816 sigma).
    assert drawn[900] == pytest.approx(0.4 * 1.566, rel=0.08)

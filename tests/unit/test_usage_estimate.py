"""Tokens guessed before a provider has counted them."""

import time

from hypothesis import given, settings

from schemas.prompt import (
    AssistantMessage,
    FunctionCall,
    FunctionDefinition,
    ImagePart,
    ImageUrl,
    Params,
    Prompt,
    Tool,
    ToolCall,
    UserMessage,
)
from streams.cost.tokens import MAX_COUNTED_CHARS, estimate_tokens
from tests.fakes.prompts import prompts


def said(text: str) -> Prompt:
    return Prompt(messages=(UserMessage(role="user", content=text),))


def test_text_is_counted_in_tokens_and_not_in_letters() -> None:
    assert estimate_tokens(said("")) == 7
    assert estimate_tokens(said("Hello, how are you today?")) == 7 + 7
    assert estimate_tokens(said("你好，今天天气怎么样？")) < 7 + 11


def test_a_control_token_spelled_out_is_just_text() -> None:
    assert estimate_tokens(said("<|endoftext|>")) > 7


def test_tools_calls_and_images_count() -> None:
    plain = estimate_tokens(said("Hi."))
    tool = Tool(function=FunctionDefinition(name="weather", description="Tells the weather of a city."))
    call = ToolCall(id="c", function=FunctionCall(name="weather", arguments='{"city":"Bern"}'))
    png = ImageUrl(url="data:image/png;base64,iVBORw0KGgo=")
    small = ImageUrl(url="data:image/png;base64,iVBORw0KGgo=", detail="low")

    def with_image(image: ImageUrl) -> int:
        part = ImagePart(type="image_url", image_url=image)
        return estimate_tokens(Prompt(messages=(UserMessage(role="user", content=(part,)),)))

    assert estimate_tokens(said("Hi.").model_copy(update={"params": Params(tools=(tool,))})) > plain + 10
    assert estimate_tokens(Prompt(messages=(AssistantMessage(role="assistant", tool_calls=(call,)),))) > 7 + 5
    assert (with_image(png), with_image(small)) == (7 + 765, 7 + 85)


def test_a_very_long_prompt_is_measured_and_not_counted() -> None:
    text = "a " * MAX_COUNTED_CHARS

    started_s = time.process_time()
    estimate = estimate_tokens(said(text))

    assert estimate == 7 + len(text) // 4
    assert time.process_time() - started_s < 0.1


@settings(max_examples=60)
@given(prompts)
def test_every_prompt_has_an_estimate(prompt: Prompt) -> None:
    assert estimate_tokens(prompt) > 4 * len(prompt.messages)

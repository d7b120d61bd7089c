"""What is done to an answer before it is given, and asked of it: as people write it, and as a plan carries it."""

from typing import Annotated, Literal

from msgspec import Meta
from pydantic import Field

from schemas.base import Model
from schemas.wire import InternalEvent

Strip = Literal["off", "fences", "markup"]
Structure = Literal["off", "check", "repair"]
Reaction = Literal["off", "mark", "require"]
Otherwise = Literal["fail", "answer"]


class Confidence(Model):
    """Of answers in JSON: how sure the model says it is."""

    field: Annotated[str, Field(pattern=r"^[^.\s]+(\.[^.\s]+)*$", max_length=128)] = Field(
        default="confidence", description="where it says so, such as result.confidence"
    )
    at_least: Annotated[float, Field(ge=0, le=1, description="0: it is not asked for")]


class PostProcess(Model):
    """Of a tenant, and of a route, which wins. What neither says is off. `require`: an answer that does not pass leads
    to another round where the route has one left, and else to what `otherwise` says; `mark`: it is only noted.
    """

    strip: Strip | None = Field(
        default=None,
        description="fences: a code fence around the whole answer goes; markup: Markdown goes too, its text stays",
    )
    refusal: Reaction | None = Field(default=None, description="whether the model must not decline")
    truncation: Reaction | None = Field(default=None, description="whether the answer must be whole")
    structure: Structure | None = Field(
        default=None,
        description=(
            "where the request asks for JSON, check: it must be JSON and keep to its schema; repair: what can be "
            "mended without guessing is mended first"
        ),
    )
    min_chars: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(
        default=None, description="of the text, without white space around it; 0: any"
    )
    confidence: Confidence | None = None
    re_ask: bool | None = Field(
        default=None, description="JSON that fails its check is asked for once more, with what is wrong with it"
    )
    otherwise: Otherwise | None = Field(
        default=None,
        description="when no round is left, fail: the request fails with `invalid_output`; answer: it is given, marked",
    )


class JudgeRule(InternalEvent):
    """What another model is to say of an answer for it to pass."""

    at_least: float
    instruction: str | None = None


class AnswerRules(InternalEvent):
    """What tenant and route say together, when the plan was made: what has begun goes on as it was begun."""

    strip: Strip = "off"
    refusal: Reaction = "off"
    truncation: Reaction = "off"
    structure: Structure = "off"
    min_chars: int = 0
    confidence_field: str = "confidence"
    min_confidence: Annotated[float, Meta(description="0: it is not asked for")] = 0.0
    re_ask: bool = False
    cascade: Annotated[bool, Meta(description="another round goes on to the next model of the plan")] = False
    otherwise: Otherwise = "fail"
    judge: Annotated[JudgeRule | None, Meta(description="of answers that pass everything else")] = None

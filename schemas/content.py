"""What must not get out, or in: personal data and secrets that are taken out, and rules that texts must keep."""

from typing import Annotated, Any, Literal, Self, cast

import re2
from msgspec import Meta
from pydantic import AfterValidator, Field, model_validator

from schemas.base import Model, Name, PositiveInt
from schemas.wire import InternalEvent

Entity = Literal["secret", "iban", "credit_card", "email", "ssn", "ip_address", "phone"]
"""Where two kinds overlap, what is found counts as the earlier one."""

_MOST_PATTERN_CHARS = 1_000
_re2 = cast("Any", re2)
_SILENTLY = _re2.Options()
_SILENTLY.log_errors = False  # on standard error, past our log


def _linear(pattern: str) -> str:
    """RE2 takes no pattern that could take longer than in proportion to the text."""
    try:
        compiled = _re2.compile(pattern, _SILENTLY)
    except _re2.error as error:
        (said,) = cast("tuple[bytes]", error.args)
        why = said.decode(errors="replace")
        raise ValueError(
            f"is no pattern in RE2's syntax ({why}); look-around and back-references are not taken"
        ) from None
    if compiled.search("") is not None:
        raise ValueError("is found in every text, since it takes none at all; ask for one character at least")
    return pattern


Pattern = Annotated[str, Field(min_length=1, max_length=_MOST_PATTERN_CHARS), AfterValidator(_linear)]
Word = Annotated[str, Field(min_length=1, max_length=100, pattern=r"\S")]


class Redaction(Model):
    """Which kinds of data are taken out, and where. Out of a prompt that is before anything but `llm.requests` has seen
    it, so that neither cache nor provider do. A placeholder such as `[EMAIL_1]` stands for it.
    """

    entities: Annotated[tuple[Entity, ...], Field(min_length=1)]
    of: Literal["prompt", "answer", "both"] = "prompt"
    restore: bool = Field(
        default=False, description="put what was taken out of the prompt back where the answer has its placeholder"
    )

    @model_validator(mode="after")
    def _something_can_be_restored(self) -> Self:
        if self.restore and self.of == "answer":
            raise ValueError("restore: nothing is taken out of the prompt, so there is nothing to put back; set `of`")
        return self

    @property
    def of_prompt(self) -> bool:
        return self.of != "answer"

    @property
    def of_answer(self) -> bool:
        return self.of != "prompt"


class ContentRule(Model):
    """Text with one of the words or patterns in it, or longer than that, is refused, or what is found is blotted out.

    Whoever is refused is told the rule's name, and not what was found.
    """

    name: Name
    on: Literal["prompt", "answer", "both"] = "both"
    words: Annotated[tuple[Word, ...], Field(max_length=1_000)] = Field(
        default=(), description="whole words or phrases, in upper or lower case"
    )
    patterns: Annotated[tuple[Pattern, ...], Field(max_length=100)] = Field(default=(), description="in RE2's syntax")
    max_chars: PositiveInt | None = Field(default=None, description="of all messages and tools together")
    action: Literal["refuse", "mask"] = Field(default="refuse", description="mask: [REMOVED] in place of what is found")

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        if not self.words and not self.patterns and self.max_chars is None:
            raise ValueError("forbids nothing: give words, patterns or max_chars")
        if self.action == "mask" and self.on != "answer":
            raise ValueError(
                "action: only answers are masked; set on = 'answer', or take out of prompts with redaction"
            )
        if self.action == "mask" and self.max_chars is not None:
            raise ValueError("max_chars: what is too long cannot be masked; make it a rule of its own")
        return self


class AnswerRule(InternalEvent):
    """A content rule, as far as it is one for answers."""

    name: str
    words: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    max_chars: int | None = None
    action: Literal["refuse", "mask"] = "refuse"


class AnswerGuard(InternalEvent):
    """What tenant and route said of answers when this one was asked for, or taken out of the cache. What they say later
    changes nothing of it: an answer that is looked at again after a crash must come to the same end.
    """

    rules: tuple[AnswerRule, ...] = ()
    redacted: Annotated[tuple[Entity, ...], Meta(description="kinds of data that are masked")] = ()


MaybeAnswerGuard = Annotated[
    AnswerGuard | None,
    Meta(description="null where it is too long to be carried, or from an older process: as the configuration says"),
]

"""What a step of post-processing is: a pure look at an answer, and what may come of it. The union is closed."""

from collections.abc import Callable
from dataclasses import dataclass

from msgspec import Struct

from schemas.flow import Answer
from schemas.postprocess import AnswerRules
from schemas.response import Output


class Draft(Struct, frozen=True):
    """An answer on its way through the steps, as the steps before left it, and what was asked for.

    `json_schema` is JSON text, and there only where the rules have it checked; never for an answer out of the cache,
    which kept to it when it was put there.
    """

    answer: Answer
    rules: AnswerRules
    wants_json: bool = False
    json_schema: str | None = None


class Changed(Struct, frozen=True):
    """The answer is another now. `note` is a word for rows and responses: it never quotes an answer."""

    output: Output
    note: str


class Noted(Struct, frozen=True):
    """The answer stays, and something is to be known about it."""

    note: str


class Wanting(Struct, frozen=True):
    """The answer does not pass. `problem` tells requester and model what is wrong, in so many words.

    `is_mendable`: the same model may well do better when it is told.
    """

    note: str
    problem: str
    is_mendable: bool = False


Finding = Changed | Noted | Wanting | None
"""None: there is nothing to say."""


@dataclass(frozen=True, slots=True)
class Step:
    """`applies` says whether the rules, or the request, ask for it: what does not apply is not timed either."""

    name: str
    applies: Callable[[Draft], bool]
    take: Callable[[Draft], Finding]

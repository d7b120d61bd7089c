"""Which Claude refuses which parameters. A name without `claude` is another vendor's model and takes them all.

A Claude whose generation cannot be read is taken for the newest: it is refused most, so it is sent least.
"""

import re
from dataclasses import dataclass

_GENERATION = re.compile(r"claude-(?:[a-z]+-)?(?P<major>\d)(?:[-.](?P<minor>\d{1,2})(?!\d))?(?!\d)")
_NEWEST: tuple[int, int] = (99, 0)


@dataclass(frozen=True, slots=True)
class Dialect:
    """`sampling`: temperature and top_p. `forced_tools`: tool_choice any and tool. `schemas`: output_config.format.

    `either_sampling`: temperature or top_p, but not both. `default_max_tokens`: see `dialect`.
    """

    sampling: bool = True
    either_sampling: bool = False
    forced_tools: bool = True
    schemas: bool = False
    default_max_tokens: int = 4_096


def dialect(model: str) -> Dialect:
    """Anthropic demands max_tokens and OpenAI does not, so an answer needs a limit nobody gave: 4096, which is all the

    oldest models have; from Claude 4 on 16384, because thinking, which some do unasked, counts towards it.
    """
    if "claude" not in model:
        return Dialect()
    found = _GENERATION.search(model)
    generation = _NEWEST if found is None else (int(found["major"]), int(found["minor"] or 0))
    return Dialect(
        sampling=generation <= (4, 6),
        either_sampling=generation >= (4, 1),
        forced_tools=generation <= (5, 0),
        schemas=generation >= (4, 5),
        default_max_tokens=4_096 if generation < (4, 0) else 16_384,
    )

"""Which of OpenAI's models refuse which parameters. Any other name is another vendor's model and takes them all."""

import re
from functools import lru_cache

_GENERATION = re.compile(r"(?:^|/)(?:o[1-9]|gpt-(?!35-)(?P<major>\d+)(?:\.(?P<minor>\d+))?)(?![a-z0-9])")
"""gpt-35 is how one vendor spells gpt-3.5."""
_FIRST_REASONING_GPT = 5
_UNREASONING_BY_DEFAULT = range(1, 5)
"""gpt-5.1 to gpt-5.4 think only when told to, and take sampling parameters as long as they do not."""


def bounds_by_completion_tokens(model: str) -> bool:
    """Whether `max_tokens` is refused in favour of `max_completion_tokens`."""
    return _generation(model) is not None


def takes_stop(model: str) -> bool:
    return not _reasons(model)


def takes_sampling(model: str) -> bool:
    generation = _generation(model)
    if generation is None or not _reasons(model):
        return True
    major, minor = generation
    return major == _FIRST_REASONING_GPT and minor in _UNREASONING_BY_DEFAULT


def _reasons(model: str) -> bool:
    return _generation(model) is not None and "-chat" not in model


@lru_cache  # a configuration names a few, and each call asks several times
def _generation(model: str) -> tuple[int, int] | None:
    """(5, 4) of gpt-5.4, (0, 0) of an o-series model, None of anything older or of another vendor."""
    found = _GENERATION.search(model)
    if found is None:
        return None
    major = int(found["major"] or 0)
    return (major, int(found["minor"] or 0)) if found["major"] is None or major >= _FIRST_REASONING_GPT else None

"""What a request only waits for, and what it tells its lane about that."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from msgspec import Struct

Awaited = str | tuple[str, ...]
"""A place at one deployment, by its name; a breaker or a pause of any of several, by theirs."""


class Awaits(Struct, frozen=True):
    """`is_new`: nothing was attempted and nothing written, so that it can as well be begun anew later."""

    what: Awaited
    is_new: bool


ANOTHERS_CALL = Awaits((), is_new=True)
"""Somebody else calls for the same request."""


class SetBackError(Exception):
    """Too many wait for the same thing already: this request is begun anew when one of them has gone."""


Aside = Callable[[Awaits], AbstractContextManager[object]]
"""Held while a request only waits: nothing of it is in flight, so it may be cancelled at no cost. Raises SetBackError
for one that is new and one too many; whoever meets that lets it pass.
"""

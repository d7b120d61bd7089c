"""Which requests of one partition have their response already, as far back as a repetition could come from."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from msgspec import Struct

from schemas.base import Event
from schemas.flow import Ticket
from schemas.response import Response

REMEMBERED_MS = 6 * 3_600_000
MOST_REMEMBERED = 200_000
"""Of one partition, the newest; some 400 bytes each. What comes again was uncommitted at a crash: far less."""


def identity_of(response: Response) -> str:
    """The same as the ticket's `identity`, from what the response shows."""
    if response.tenant_id is None:
        return f"?/{response.origin.topic}/{response.origin.partition}/{response.origin.offset}"
    return f"{response.tenant_id}/{response.request_id}"


def course_of(response: Response) -> int:
    """A digest of how the request came to its end: the same when one completion is taken twice, another when the
    request was carried out twice. Only to be compared within one process.
    """
    ended = (response.status, response.cache, response.round, response.attempts, response.timings.provider_ms)
    return hash((ended, response.steps.get("judge"), _way_of(response.timings.stages)))


def _way_of(stages: Mapping[str, int]) -> int:
    """When each stage let it go, up to the answer's coming."""
    return hash(frozenset((stage, at) for stage, at in stages.items() if stage != "postprocess"))


class _Given(Struct, frozen=True):
    course: int
    way: int
    answered_at_ms: int
    learned_ms: int


class GivenResponses:
    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._given: OrderedDict[str, _Given] = OrderedDict()

    def __len__(self) -> int:
        return len(self._given)

    def __contains__(self, identity: str) -> bool:
        return identity in self._given

    def given_ms(self, response: Response) -> int | None:
        """When this very response was given before; None when there was none, or it was made of another completion."""
        given = self._given.get(identity_of(response))
        return given.answered_at_ms if given is not None and given.course == course_of(response) else None

    def was_by(self, ticket: Ticket) -> bool:
        """Whether the answer that was given is the one which came by this very ticket, whatever was asked about it
        since: then its attempts are booked, and one of them is final.
        """
        given = self._given.get(ticket.identity)
        stages = {stage: max(at - ticket.produced_at_ms, 0) for stage, at in ticket.stamps.items()}
        return given is not None and given.way == _way_of(stages)

    def apply(self, event: Event, now_ms: int) -> Sequence[str]:
        if not isinstance(event, Response):
            raise TypeError(f"not a response: {type(event).__name__}")
        # by when we learned it: after a long outage old answers still meet completions that have waited as long
        self._given.setdefault(
            identity_of(event), _Given(course_of(event), _way_of(event.timings.stages), event.answered_at_ms, now_ms)
        )
        self._forget(now_ms - REMEMBERED_MS)
        return ()

    def _forget(self, before_ms: int) -> None:
        """Oldest first: the dictionary keeps the order in which answers were given."""
        while self._given:
            identity, given = next(iter(self._given.items()))
            if given.learned_ms >= before_ms and len(self._given) <= self._most:
                return
            del self._given[identity]

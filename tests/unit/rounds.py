"""What postprocess makes of the end of a round."""

from schemas.call import CallRow
from schemas.flow import Completion, Dispatch
from schemas.response import Response
from schemas.topics import CALLS, DISPATCH, RESPONSES
from streams.runtime.outcome import Outcome
from streams.stages.postprocess import decide
from streams.state.given_responses import GivenResponses
from tests.unit.examples import NOW_MS, forwarded, on, records_of, view

DECIDED_MS = NOW_MS + 3_000


def decided(event: Completion, state: GivenResponses | None = None) -> Outcome:
    return decide(event, view(state or GivenResponses(), now_ms=DECIDED_MS))


def asked_again(event: Completion) -> Dispatch:
    (found,) = on(DISPATCH["normal"], forwarded(decided(event)), Dispatch)
    return found


def response_to(event: Completion) -> Response:
    (found,) = on(RESPONSES, forwarded(decided(event)), Response)
    return found


def rows_of(event: Completion, state: GivenResponses | None = None) -> list[CallRow]:
    return on(CALLS, records_of(decided(event, state)), CallRow)

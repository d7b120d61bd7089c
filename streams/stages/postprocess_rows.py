"""The rows of `llm.calls` that a completion leads to: of what was asked in its round, and of the request's end."""

from msgspec.structs import replace

from schemas.call import CallRow
from schemas.flow import Completion
from schemas.topics import CALLS
from streams.answers.pipeline import Processed
from streams.cost.booking import Booked
from streams.cost.ledger import attempt_row, saved_usd, unattempted_row
from streams.runtime.outcome import Record

NO_TENANT = "-"
"""Key of rows whose sender could not be authenticated."""


def rows_of(completion: Completion, booked: list[Booked], now_ms: int, seen: Processed | None = None) -> list[CallRow]:
    """The last attempt's row is the request's final one. A round that asked nobody any more ends with a row of its own:
    those before are closed.
    """
    number = completion.round.number if completion.round else 0
    if not booked:
        row = replace(unattempted_row(completion, now_ms), round=number)
        return [row if seen is None else replace(row, steps=seen.steps, step_us=seen.step_us)]
    *earlier, (attempt, used, cost) = booked
    ticket, plan, failure = completion.ticket, completion.plan, completion.failure
    last = attempt_row(
        ticket,
        plan,
        attempt,
        "priced",
        cost=cost,
        usage=used,
        request_status=completion.status,
        published_at_ms=now_ms,
    )
    if seen is not None:
        last = replace(last, steps=seen.steps, step_us=seen.step_us)
    if completion.cache == "stale":
        last = replace(last, cache="stale", saved_usd=saved_usd(completion))
    if failure is not None and last.error_class is None:  # it was answered, but not as it must be
        last = replace(last, error_class=failure.code)
    rows = [*(attempt_row(ticket, plan, a, "priced", cost=c, usage=u) for a, u, c in earlier), last]
    return [replace(row, round=number) for row in rows] if number else rows


def open_rows(completion: Completion, booked: list[Booked], seen: Processed | None) -> tuple[Record, ...]:
    """Of attempts that did not end the request: another round did, or another who carried it out."""
    number = completion.round.number if completion.round else 0
    rows = [
        replace(attempt_row(completion.ticket, completion.plan, a, "priced", cost=c, usage=u), round=number)
        for a, u, c in booked
    ]
    if rows and seen is not None:
        rows[-1] = replace(rows[-1], steps=seen.steps, step_us=seen.step_us)
    return tuple(map(calls_record, rows))


def calls_record(row: CallRow) -> Record:
    return Record(CALLS, row.tenant_id or NO_TENANT, row)

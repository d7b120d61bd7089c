"""A response as one line of a table, and where a person's answer is in it."""

from schemas.response import Response
from scripts.cli.since import clock

HEADINGS = ("at (UTC)", "request", "tenant", "status", "cache", "model", "cost USD", "ms", "answer")
_WIDTHS = (23, 36, 10, 8, 9, 18, 9, 7)
"""Of all but the last column: lines come one by one, so no column can wait for its widest value."""


def cells(response: Response) -> tuple[str, ...]:
    return (
        clock(response.answered_at_ms),
        response.request_id,
        response.tenant_id or "?",
        response.status,
        response.cache,
        response.model or "",
        "-" if response.cost_usd is None else f"{response.cost_usd:.6f}",
        str(response.timings.total_ms),
        said(response),
    )


def said(response: Response) -> str:
    """The answer, or why there is none."""
    if response.error is not None:
        return f"{response.error.code}: {response.error.message}"
    output = response.output
    if output is None:
        return ""
    calls = ", ".join(f"{call.function.name}({call.function.arguments})" for call in output.tool_calls)
    return output.content or output.refusal or calls


def line(values: tuple[str, ...]) -> str:
    """Cut to the columns' widths; the last column is left whole."""
    *fixed, last = values
    padded = (value[:width].ljust(width) for value, width in zip(fixed, _WIDTHS, strict=True))
    return "  ".join((*padded, last))

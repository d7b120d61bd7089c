"""Whether the end of a process of ours is one that is documented, or a bug that its restart would cover up."""

import re
from typing import Final, cast

import orjson

TAIL_BYTES: Final = 64 * 1024
"""Of a log: more than a process says at its end."""
_EXPECTED: Final = (
    re.compile(r"stopped: a record was (not written|refused for its time)"),  # delivery timeout; the fence
    re.compile(r"stopped: this worker was away for so long"),  # the same, seen by its own clock
    re.compile(r"stopped: the broker did not (acknowledge|take .*) within"),  # drain timeout
    re.compile(r"stopped: .* did not end within .* of being cancelled"),  # the same of calls
    re.compile(r"stopped: nothing was heard of a partition to be read back"),
    re.compile(r"stopped: no broker could tell for .* what there is to be read back"),
    re.compile(r"^(stopped: )?Kafka: (?!.*lacks a right)"),  # nobody takes rights away here
    re.compile(r"Kafka at \S+ does not answer"),  # before its start
    re.compile(r"there was no answer in time"),
    # how watch ends when brokers do not answer
    re.compile(r"(ended_by_a_bug|We experienced a crash.*) (CommitsStuckError|ControlTimeoutError)( at |$)"),
)
_FORCED: Final = frozenset({"hard_exit", "drain_failed", "tables_ahead_of_their_changelogs"})
"""Log events of an end by force after the drain time, and of one after which a start rebuilds what was torn."""
_BUGS: Final = frozenset({"ended_by_a_bug", "thread_ended_by_a_bug"})
_CRASH: Final = "We experienced a crash"
"""Faust's words."""
_PREFIX: Final = "millrace: "


def last_words(log: bytes) -> str:
    """The last line that says why a process ended: its sentence, or the name of an event and of the last lines that it
    passed; else its last line.
    """
    lines = [line for line in log.decode(errors="replace").splitlines() if line.strip()]
    for line in reversed(lines):
        if line.startswith(_PREFIX):
            return line.removeprefix(_PREFIX)
        said = _said(line)
        if (event := str(said.get("event", ""))) in _FORCED | _BUGS or _CRASH in event:
            where = " < ".join(reversed(cast("list[str]", said.get("where") or [])[-3:]))
            return f"{event} {said.get('problem', '')}".strip() + (f" at {where}" if where else "")
    return str(_said(lines[-1]).get("event") or lines[-1]) if lines else ""


def unexplained(exit_status: int | None, words: str, *, wanted: bool) -> str:
    """What is wrong about an end, empty for nothing. `words` are the last of that process."""
    match exit_status:
        case 0 | None if wanted:
            return ""
        case 0 if words == "stopped":  # told to by whoever started it, and could not wait for it
            return ""
        case int() if exit_status < 0 and wanted:
            return ""
        case int() if exit_status > 0 and (words in _FORCED or any(each.search(words) for each in _EXPECTED)):
            return ""
        case _:
            return f"ended with status {exit_status} for no documented reason: {words or 'it said nothing'}"


def _said(line: str) -> dict[str, object]:
    """Empty for what is no line of a structured log."""
    try:
        said = cast("object", orjson.loads(line))
    except orjson.JSONDecodeError:
        return {}
    return cast("dict[str, object]", said) if isinstance(said, dict) else {}

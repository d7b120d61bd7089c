"""JSON lines on standard error: an event's name and ids, never a prompt, an answer or a key."""

import logging
import sys
import time
import traceback
from collections.abc import Mapping, MutableMapping
from typing import Any, cast

import orjson
import structlog

from streams.observe.repetition import Repetition

NEVER_LOGGED = frozenset(
    {
        "messages",
        "content",
        "prompt",
        "output",
        "answer",
        "value",
        "headers",
        "authorization",
        "key",
        "api_key",
        "password",
    }
)
"""Fields that could carry a payload or a credential; a mistake upstream ends here."""


def _drop_payloads(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    return {name: "[withheld]" if name in NEVER_LOGGED else _without_payload(value) for name, value in event.items()}


def _without_payload(value: Any) -> Any:
    """Whole events are not logged, however they are nested: only lists and plain values are."""
    return "[withheld]" if isinstance(value, Mapping) else value


def _say_where(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """An exception's type and the lines it passed; not its message, which may quote what was being read."""
    given = cast("object", event.pop("exc_info", None))
    if isinstance(given, tuple):
        given = cast("tuple[object, object, object]", given)[1]
    error = sys.exc_info()[1] if given is True else given
    if not isinstance(error, BaseException):
        return event
    lines = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    return {**event, "problem": type(error).__name__, "where": lines[-8:]}


def _render(value: object, **_options: object) -> str:
    return orjson.dumps(value, default=str).decode()


def configure_logging(stage: str, level: str = "info") -> None:
    """Every later line of this process carries `stage`. Libraries that log through `logging` speak JSON too."""
    threshold = getattr(logging, level.upper())

    def name_stage(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        return {**event, "stage": stage}  # not a context variable: those do not reach the libraries' threads

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        name_stage,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _say_where,
        _drop_payloads,
    ]
    renderer = structlog.processors.JSONRenderer(serializer=_render)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    handler.addFilter(Repetition(time.monotonic))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(threshold, logging.WARNING))


def logger(name: str) -> structlog.typing.FilteringBoundLogger:
    return structlog.get_logger(name)

"""How a process that a bug ends says where it was: the lines it passed, and never the message, which may quote what was
being read. Python itself would print both.
"""

import sys
import threading
from types import TracebackType

from streams.observe.logs import logger

log = logger(__name__)


def tell_crashes() -> None:
    """For the rest of the process, in the main thread and all others. The exit status stays what it is."""
    sys.excepthook = _tell_end
    threading.excepthook = _tell_thread


def _tell_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        log.critical("ended_by_a_bug", problem=kind.__name__, exc_info=error)


def _tell_thread(end: threading.ExceptHookArgs) -> None:
    log.critical("thread_ended_by_a_bug", thread=end.thread.name if end.thread else None, exc_info=end.exc_value)

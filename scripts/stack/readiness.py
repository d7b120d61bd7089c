"""Waiting for something to become true, with a deadline and an error that shows why it did not."""

import http.client
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from scripts.stack.errors import StartError
from scripts.stack.process import Child, log_tail

Condition = Callable[[], bool]

_POLL_S: Final = 0.05
_PROBE_TIMEOUT_S: Final = 2.0


def holds_within(deadline_s: float, condition: Condition) -> bool:
    """Whether `condition` becomes true before the deadline; it is asked at least once."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(_POLL_S)
    return True


def await_ready(name: str, child: Child, log: Path, condition: Condition, *, within_s: float) -> None:
    """Return once `condition` holds. Raises StartError with the end of the log on exit or after the deadline."""
    ready = False

    def ready_or_dead() -> bool:
        nonlocal ready
        ready = condition()
        return ready or not child.running

    if holds_within(within_s, ready_or_dead) and ready:
        return
    status = child.exit_status
    why = f"was not ready after {within_s:g} s" if status is None else f"ended with exit status {status}"
    raise _start_error(f"{name} {why}", log)


def await_success(name: str, child: Child, log: Path, *, within_s: float) -> None:
    """Return once the child has ended well. Raises StartError with the end of the log if it fails or takes longer."""
    try:
        status = child.wait(within_s)
    except TimeoutError as error:
        raise _start_error(f"{name} was not done after {within_s:g} s", log) from error
    if status != 0:
        raise _start_error(f"{name} ended with exit status {status}", log)


def _start_error(what: str, log: Path) -> StartError:
    return StartError(f"{what}; the end of {log}:\n{log_tail(log)}")


def answers(url: str) -> Condition:
    """A condition: the http URL answers with a status below 400. Proxies of the environment are not asked."""
    target = urlsplit(url)
    if target.scheme != "http" or target.hostname is None:
        raise ValueError(f"{url!r} is not an http URL")
    host, port, path = target.hostname, target.port, target.path or "/"

    def answered() -> bool:
        connection = http.client.HTTPConnection(host, port, timeout=_PROBE_TIMEOUT_S)
        try:
            connection.request("GET", f"{path}?{target.query}" if target.query else path)
            return connection.getresponse().status < http.client.BAD_REQUEST
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return answered

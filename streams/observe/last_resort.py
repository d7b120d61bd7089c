"""The end of a process that cannot end itself. Nothing is lost: what is not committed is done again."""

import os
from typing import NoReturn

from streams.observe.logs import logger

log = logger(__name__)


def exit_hard(why: str) -> NoReturn:
    """From any thread, whatever the others wait for."""
    log.critical("hard_exit", why=why)
    os._exit(1)

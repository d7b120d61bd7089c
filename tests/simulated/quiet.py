"""Around schedules: workers log nothing, and the many event loops of one thread leave nothing behind in it."""

import logging
import sys
from collections.abc import Generator
from contextlib import contextmanager

import structlog


@contextmanager
def quiet() -> Generator[None]:
    before, hooks = structlog.get_config(), sys.get_asyncgen_hooks()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)
        sys.set_asyncgen_hooks(*hooks)

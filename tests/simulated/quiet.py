"""Workers that log nothing: what a schedule says, its trace says."""

import logging
from collections.abc import Generator
from contextlib import contextmanager

import structlog


@contextmanager
def quiet() -> Generator[None]:
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)

"""A lock between processes. The kernel drops it with its holder, so one that was killed blocks nobody."""

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusive(path: Path, *, wait: bool) -> Generator[None]:
    """Hold the lock file `path`. Raises BlockingIOError, unless told to wait, while another holds it."""
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield

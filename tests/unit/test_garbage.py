"""Whoever holds a batch is not looked through for cycles while it works on it."""

import subprocess
import sys

_SCRIPT = """
import gc
from streams.garbage import keep_garbage_young, leave_garbage

leave_garbage()
is_left = not gc.isenabled()
keep_garbage_young(30_000)
before = gc.get_stats()[0]["collections"]
held = [[] for _ in range(20_000)]
print(is_left, gc.isenabled(), gc.get_freeze_count() > 1_000, gc.get_stats()[0]["collections"] - before)
"""


def test_neither_what_is_imported_nor_a_batch_is_looked_through() -> None:
    said = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True).stdout  # noqa: S603 - this interpreter

    assert said.split() == ["True", "True", "True", "0"]

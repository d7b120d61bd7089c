"""A run of one target by structure: hypothesis, for as long as one likes, where `make test` gives it some examples."""

import time
from hashlib import sha256
from itertools import count

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.campaign import FOLDER, Campaign
from tests.fuzz.mutations import mutated
from tests.fuzz.target import Target

CPU_S = 2.0
"""Of one input, all of them small: a hundred times what the slowest takes. Counted in CPU time of this process."""
_AT_ONCE = 500
_UNHURRIED = (HealthCheck.too_slow, HealthCheck.data_too_large)


class SlowInputError(Exception):
    """It took more CPU than it may."""


def inputs(target: Target) -> st.SearchStrategy[bytes]:
    return st.one_of(mutated(target.seeds), mutated(target.seeds), st.binary(max_size=300))


def survives(target: Target, data: bytes) -> None:
    """Raises what the target does that it does not document, and SlowInputError."""
    begun_s = time.process_time()
    target(data)
    if time.process_time() - begun_s >= CPU_S:
        raise SlowInputError(f"{len(data)} bytes took more than {CPU_S:g} s")


def run(target: Target, seconds: int) -> Campaign:
    """Its seeds are 0, 1, …: the same run again begins with the same inputs. What brings it down is kept, shrunk."""
    begun_s, executions, latest = time.monotonic(), 0, b""

    @settings(max_examples=_AT_ONCE, database=None, deadline=None, suppress_health_check=_UNHURRIED)
    @given(inputs(target))
    def once(data: bytes) -> None:
        nonlocal executions, latest
        executions, latest = executions + 1, data
        survives(target, data)

    for number in count():
        took_s = time.monotonic() - begun_s
        if took_s >= seconds:
            return Campaign(target.name, executions, took_s, coverage=0, result="clean", crash=None)
        try:
            seed(number)(once)()
        except Exception as problem:  # noqa: BLE001  # whatever it is, it is what was looked for
            folder = FOLDER / target.name
            folder.mkdir(parents=True, exist_ok=True)
            kept = folder / f"crash-{sha256(latest).hexdigest()[:16]}"
            kept.write_bytes(latest)
            result = f"brought down: {type(problem).__name__}"
            return Campaign(target.name, executions, time.monotonic() - begun_s, coverage=0, result=result, crash=kept)
    raise AssertionError("there is always another seed")

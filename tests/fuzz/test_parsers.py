"""Whatever bytes come from outside, a parser returns or raises what it documents, and soon.

The same targets are fuzzed for as long as one likes, led by coverage, with `make fuzz`. What either finds is kept here.
"""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutations import mutated
from tests.fuzz.registry import TARGETS

EXAMPLES = 150
CPU_S = 2.0
"""Of one example, all of them small: a hundred times what the slowest takes. Counted in CPU time of this process."""


@pytest.mark.parametrize("name", TARGETS)
def test_a_good_input_and_none_at_all_are_read(name: str) -> None:
    for seed in (*TARGETS[name].seeds, b""):
        TARGETS[name](seed)


@pytest.mark.parametrize("name", TARGETS)
def test_no_bytes_bring_a_parser_down(name: str) -> None:
    target = TARGETS[name]

    @settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(st.one_of(mutated(target.seeds), mutated(target.seeds), st.binary(max_size=300)))
    def survives(data: bytes) -> None:
        begun_s = time.process_time()
        target(data)
        assert time.process_time() - begun_s < CPU_S

    survives()

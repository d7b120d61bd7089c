from collections.abc import Callable
from typing import cast

import aiokafka.partitioner
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.partition import murmur2, partition_for

oracle = cast("Callable[[bytes], int]", aiokafka.partitioner.murmur2)

# the vectors of Kafka's own UtilsTest, where the hash is shown as a signed 32-bit number
JAVA_VECTORS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "signed"), JAVA_VECTORS.items())
def test_a_key_hashes_as_it_does_in_java(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed % 2**32


@given(st.binary(max_size=200))
def test_any_key_hashes_as_another_implementation_of_the_same_hash_says(key: bytes) -> None:
    assert murmur2(key) == oracle(key)


@given(st.binary(max_size=64), st.integers(min_value=1, max_value=1000))
def test_a_key_always_has_the_same_partition_and_it_exists(key: bytes, partitions: int) -> None:
    chosen = partition_for(key, partitions)
    assert chosen == partition_for(key, partitions)
    assert chosen == (oracle(key) & 0x7FFFFFFF) % partitions


def test_a_hash_that_java_shows_as_negative_is_masked_and_not_negated() -> None:
    assert partition_for(b"21", 12) == (-973932308 & 0x7FFFFFFF) % 12


def test_keys_of_tenants_spread_over_all_partitions() -> None:
    assert {partition_for(f"tenant-{number}".encode(), 12) for number in range(500)} == set(range(12))


@pytest.mark.parametrize("partitions", [0, -1])
def test_a_topic_without_partitions_is_refused(partitions: int) -> None:
    with pytest.raises(ValueError, match="at least 1 partition"):
        partition_for(b"acme", partitions)

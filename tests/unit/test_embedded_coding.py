"""Bodies, compressed by HTTP and by ClickHouse."""

from contextlib import suppress

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.embedded.blocks import Method, pack_blocks, unpack_blocks
from sinks.embedded.cityhash import city_hash_128
from sinks.embedded.coding import Coding, choose_coding, decode, encode, read_content_encoding
from sinks.embedded.errors import ClickHouseError

LIMIT = 1 << 16


@pytest.mark.parametrize("coding", list(Coding))
@given(data=st.binary(max_size=2000))
def test_what_is_encoded_is_decoded_to_the_same_bytes(coding: Coding, data: bytes) -> None:
    assert decode(coding, encode(coding, data), LIMIT) == data


@pytest.mark.parametrize("coding", list(Coding))
def test_a_cut_or_damaged_body_is_refused(coding: Coding) -> None:
    encoded = encode(coding, bytes(range(256)) * 20)
    for damaged in (encoded[: len(encoded) // 2], b"garbage" * 10, b""):
        with pytest.raises(ClickHouseError, match="not valid"):
            decode(coding, damaged, LIMIT)


@pytest.mark.parametrize("coding", list(Coding))
def test_a_small_body_cannot_unfold_beyond_the_limit(coding: Coding) -> None:
    bomb = encode(coding, bytes(LIMIT + 1))
    with pytest.raises(ClickHouseError) as refused:
        decode(coding, bomb, LIMIT)
    assert refused.value.name == "QUERY_IS_TOO_LARGE"


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("gzip, deflate, br", Coding.GZIP),
        ("gzip;q=0, br", Coding.BROTLI),
        ("LZ4 , zstd", Coding.LZ4),
        ("identity", None),
        ("", None),
    ],
)
def test_the_first_coding_both_know_is_chosen(header: str, coding: Coding | None) -> None:
    assert choose_coding(header) is coding


def test_identity_is_no_coding() -> None:
    assert read_content_encoding("identity") is None
    assert read_content_encoding("GZIP") is Coding.GZIP


@pytest.mark.parametrize(
    ("length", "digest"),
    [
        (0, "2b9ac064fc9df03d291ee592c340b53c"),
        (3, "5c4bcd4c89a4d880c1978ee30776fa08"),
        (7, "0807daf6e9b684512709e1db83196373"),
        (8, "2041ac7897f2ba65cbe93017ecae9a7b"),
        (15, "6c96fe1d0d3218a8617a4e80e759b2bb"),
        (16, "31c0b5f76c3112e514b4275b140911b8"),
        (17, "553e0dfa171e4d70fbab49b5995923cf"),
        (100, "22d3b7a18acd4b3c4d5aa6845db9df58"),
        (143, "ec5742bc69f6221f3bcc05b174394023"),
        (144, "96c0d1c51b1366918e4ae777d58b63b7"),
        (300, "aa80ac16968586e258ef713645b8e016"),
    ],
)
def test_the_checksum_is_the_one_other_implementations_compute(length: int, digest: str) -> None:
    data = bytes((index * 7 + length * 13) % 251 for index in range(length))
    assert city_hash_128(data).hex() == digest


@pytest.mark.parametrize("method", list(Method))
@given(data=st.binary(max_size=3000))
def test_blocks_are_unpacked_to_what_was_packed(method: Method, data: bytes) -> None:
    assert unpack_blocks(pack_blocks(data, method), LIMIT) == data


def test_more_than_a_mebibyte_takes_several_blocks() -> None:
    data = bytes(range(256)) * 5000
    assert unpack_blocks(pack_blocks(data, Method.LZ4), 1 << 22) == data


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 255))
def test_a_damaged_block_is_refused_and_never_read_wrongly(data: bytes, at: int, byte: int) -> None:
    packed = bytearray(pack_blocks(data, Method.LZ4))
    if at < len(packed):
        packed[at] = byte
    else:
        del packed[at % (len(packed) + 1) :]
    with suppress(ClickHouseError):
        assert unpack_blocks(bytes(packed), LIMIT) in (data, b"")


def test_blocks_that_promise_too_much_are_refused_before_memory_is_taken() -> None:
    packed = pack_blocks(bytes(100), Method.NONE)
    with pytest.raises(ClickHouseError) as refused:
        unpack_blocks(packed * 3, 250)
    assert refused.value.name == "QUERY_IS_TOO_LARGE"


def test_an_unknown_method_is_named() -> None:
    body = bytes((0x91, *(10, 0, 0, 0), *(1, 0, 0, 0), 0))
    with pytest.raises(ClickHouseError, match="0x91"):
        unpack_blocks(city_hash_128(body) + body, LIMIT)


def test_a_block_whose_data_are_longer_than_it_says_is_refused() -> None:
    squeezed = bytes(cramjam.lz4.compress_block(bytes(50), store_size=False))
    body = bytes((0x82, *(9 + len(squeezed)).to_bytes(4, "little"), *(40).to_bytes(4, "little"))) + squeezed
    with pytest.raises(ClickHouseError):
        unpack_blocks(city_hash_128(body) + body, LIMIT)

"""How one HTTP request is understood."""

from contextlib import suppress
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.embedded.blocks import Method
from sinks.embedded.coding import Coding
from sinks.embedded.errors import ClickHouseError
from sinks.embedded.request import QueryRequest, read_request


def read(headers: dict[str, str] | None = None, **fields: object) -> QueryRequest:
    return read_request("POST", urlencode(fields), headers or {})


def test_what_is_not_known_as_transport_is_a_setting() -> None:
    request = read(query="SELECT 1", max_threads=3, wait_end_of_query=1, session_id="s", insert_deduplication_token="t")
    assert request.settings == (("max_threads", "3"), ("insert_deduplication_token", "t"))
    assert request.statement == b"SELECT 1"


def test_parameters_of_the_statement_lose_their_prefix_and_are_no_settings() -> None:
    request = read(param_name="it's", param_ids="[1,2]")
    assert request.parameters == (("name", "it's"), ("ids", "[1,2]"))
    assert request.settings == ()


def test_a_header_wins_over_the_url_for_database_and_format() -> None:
    headers = {"x-clickhouse-database": "a", "x-clickhouse-format": "JSON"}
    request = read(headers=headers, database="b", default_format="CSV")
    assert (request.database, request.default_format) == ("a", "JSON")


@pytest.mark.parametrize(("method", "read_only"), [("GET", True), ("HEAD", True), ("POST", False), ("PUT", False)])
def test_only_get_and_head_are_read_only(method: str, read_only: bool) -> None:
    assert read_request(method, "", {}).read_only is read_only


def test_a_request_without_an_id_gets_one_of_its_own() -> None:
    assert read().query_id != read().query_id
    assert read(query_id="mine").query_id == "mine"


def test_the_answer_is_compressed_only_when_both_sides_want_it() -> None:
    accepts = {"accept-encoding": "gzip, lz4"}
    assert read(headers=accepts).answer_coding is None
    assert read(headers=accepts, enable_http_compression=1).answer_coding is Coding.LZ4
    assert read(enable_http_compression=1).answer_coding is None


def test_clickhouse_blocks_are_asked_for_with_compress_and_their_method_with_a_setting() -> None:
    assert read().answer_blocks is None
    assert read(compress=1).answer_blocks is Method.LZ4
    assert read(compress=1, network_compression_method="zstd").answer_blocks is Method.ZSTD
    assert read(decompress=1).body_in_blocks


@pytest.mark.parametrize(
    ("fields", "headers", "name"),
    [
        ({"max threads": 1}, {}, "UNKNOWN_SETTING"),
        ({"x') --": 1}, {}, "UNKNOWN_SETTING"),
        ({"param_x y": 1}, {}, "UNKNOWN_SETTING"),
        ({"role": "admin"}, {}, "UNKNOWN_ROLE"),
        ({"query_id": "a\r\nb"}, {}, "BAD_ARGUMENTS"),
        ({"client_protocol_version": "x"}, {}, "BAD_ARGUMENTS"),
        ({"default_format": "a b"}, {}, "UNKNOWN_FORMAT"),
        ({}, {"content-encoding": "sdch"}, "UNKNOWN_COMPRESSION_METHOD"),
        ({}, {"content-type": "multipart/form-data; boundary=x"}, "NOT_IMPLEMENTED"),
        ({f"s{number}": 1 for number in range(1001)}, {}, "BAD_ARGUMENTS"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_name(
    fields: dict[str, object], headers: dict[str, str], name: str
) -> None:
    with pytest.raises(ClickHouseError) as refused:
        read_request("POST", urlencode(fields), headers)
    assert refused.value.name == name


def test_a_time_zone_goes_into_a_header_only_when_it_can_be_one() -> None:
    assert read(session_timezone="Europe/Berlin").time_zone == "Europe/Berlin"
    assert read(session_timezone="x\r\ny").time_zone == "UTC"
    assert read().time_zone == "UTC"


@given(st.binary(max_size=64))
def test_bytes_of_a_statement_survive_the_url(statement: bytes) -> None:
    assert read_request("POST", urlencode({"query": statement}), {}).statement == statement


@given(st.text(max_size=200))
def test_no_query_string_does_more_than_be_refused(query_string: str) -> None:
    with suppress(ClickHouseError):
        assert read_request("GET", query_string, {}).read_only

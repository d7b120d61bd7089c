"""What is read from the parser's account of a statement. The accounts are those the engine gives of the texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.embedded.errors import ClickHouseError
from sinks.embedded.statement import Command, RowInsert, Text, Token, read_statement


def kw(start: int, end: int) -> Token:
    return Token(start, end, "keyword")


def ident(start: int, end: int) -> Token:
    return Token(start, end, "identifier")


def test_rows_begin_after_the_line_end_that_follows_the_format() -> None:
    text = b"INSERT INTO t (a) FORMAT RowBinary\n\n\x00\x01"
    tokens = [kw(0, 11), ident(12, 13), ident(15, 16), kw(18, 24), ident(25, 34)]
    statement = read_statement(text, "INSERT INTO t (a) FORMAT RowBinary", tokens)
    assert statement == RowInsert(b"INSERT INTO t (a) ", b"", "RowBinary", 35)
    assert text[35:] == b"\n\x00\x01"


def test_the_settings_of_an_insert_are_kept_apart_from_its_head() -> None:
    text = b"INSERT INTO t SETTINGS async_insert=0 FORMAT CSV  \r\n1"
    tokens = [kw(0, 11), ident(12, 13), kw(14, 22), ident(23, 35), Token(36, 37, "number"), kw(38, 44), ident(45, 48)]
    statement = read_statement(text, "INSERT INTO t SETTINGS async_insert = 0 FORMAT CSV", tokens)
    assert statement == RowInsert(b"INSERT INTO t ", b"SETTINGS async_insert=0 ", "CSV", len(text) - 1)


def test_values_are_rows_of_the_format_values() -> None:
    text = b"insert into t values (1)"
    statement = read_statement(text, "INSERT INTO t FORMAT Values", [kw(0, 11), ident(12, 13), kw(14, 20)])
    assert statement == RowInsert(b"insert into t ", b"", "Values", 21)


def test_an_insert_from_a_query_is_a_command_that_writes() -> None:
    text = b"INSERT INTO t SELECT 1 FORMAT Native"
    tokens = [kw(0, 11), ident(12, 13), kw(14, 20), Token(21, 22, "number"), kw(23, 29), ident(30, 36)]
    assert read_statement(text, text.decode(), tokens) == Command(reads=False, format_name=None)
    with pytest.raises(ClickHouseError, match="with rows in the request"):
        read_statement(text + b"\x01", text.decode(), tokens)


@pytest.mark.parametrize(
    ("canonical", "reads", "format_name"),
    [
        ("SELECT 1", True, None),
        ("SELECT 1 FORMAT JSON", True, "JSON"),
        ("SELECT 1 FORMAT JSON SETTINGS max_threads = 1", True, "JSON"),
        ("SELECT 1 SETTINGS max_threads = 1 FORMAT Native", True, "Native"),
        ("(SELECT 1) UNION ALL (SELECT 2)", True, None),
        ("WITH 1 AS x SELECT x", True, None),
        ("SELECT ' FORMAT JSON'", True, None),
        ("SELECT FORMAT AS x", True, None),
        ("DESCRIBE TABLE t FORMAT CSV", True, "CSV"),
        ("CREATE TABLE t (`a` Int) ENGINE = Memory", False, None),
        ("KILL QUERY WHERE 1 ASYNC", False, None),
    ],
)
def test_a_command_says_whether_it_reads_and_in_which_format(
    canonical: str, reads: bool, format_name: str | None
) -> None:
    assert read_statement(canonical.encode(), canonical, []) == Command(reads, format_name)


@pytest.mark.parametrize(
    "canonical",
    [
        "SELECT 1 INTO OUTFILE '/etc/x'",
        "SELECT '\\'' INTO OUTFILE 'a\\'b' FORMAT CSV",
        "SHOW TABLES INTO OUTFILE 'x'",
        "INSERT INTO t FROM INFILE '/etc/passwd' FORMAT CSV",
        "ATTACH TABLE t FROM '/x' (`a` Int) ENGINE = MergeTree",
    ],
)
def test_files_of_the_host_are_denied_in_clickhouses_words(canonical: str) -> None:
    with pytest.raises(ClickHouseError, match="Not enough privileges") as denied:
        read_statement(canonical.encode(), canonical, [])
    assert denied.value.code == 497


@pytest.mark.parametrize(
    "canonical",
    [
        "SELECT ' INTO OUTFILE \\'x\\''",
        "SELECT `a INTO OUTFILE 'x'` FROM t",
        "SELECT * FROM INFILE",
        "SELECT 'a\\\\' AS b FROM `FROM INFILE ''`",
    ],
)
def test_a_clause_inside_a_string_or_a_name_is_no_clause(canonical: str) -> None:
    assert read_statement(canonical.encode(), canonical, []) == Command(reads=True, format_name=None)


def test_a_kind_of_statement_that_is_not_known_is_not_run() -> None:
    with pytest.raises(ClickHouseError) as refused:
        read_statement(b"COPY t FROM STDIN", "t", [])
    assert refused.value.name == "NOT_IMPLEMENTED"


@given(st.binary(max_size=40), st.binary(max_size=40), st.integers(0, 90))
def test_a_text_in_two_parts_is_one_text_joined_by_a_line_end(first: bytes, rest: bytes, at: int) -> None:
    whole = first + b"\n" + rest if first and rest else first + rest
    text = Text(first, rest)
    assert len(text) == len(whole)
    assert text.head(at) == whole[:at]
    assert bytes(text.tail(at)) == whole[at:]

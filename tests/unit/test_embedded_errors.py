"""What the engine says and what a client reads."""

from http import HTTPStatus

import pytest

from sinks.embedded.errors import ClickHouseError, read_engine_error


def test_an_error_is_taken_apart_into_number_name_and_sentence() -> None:
    error = read_engine_error("Code: 60. DB::Exception: Table default.t does not exist. (UNKNOWN_TABLE)")
    assert (error.code, error.name, error.message) == (60, "UNKNOWN_TABLE", "Table default.t does not exist.")


def test_what_the_engine_repeats_while_passing_an_error_on_is_said_once() -> None:
    error = read_engine_error(
        "Code: 73. DB::Exception: Code: 73. DB::Exception: Unknown format Nope. (UNKNOWN_FORMAT) (version 26.9.2.1)."
        " (UNKNOWN_FORMAT)"
    )
    assert (error.code, error.name, error.message) == (73, "UNKNOWN_FORMAT", "Unknown format Nope.")


def test_the_name_in_parentheses_is_the_last_one_and_others_stay_in_the_sentence() -> None:
    error = read_engine_error("Code: 469. DB::Exception: Constraint (A) is violated. (VIOLATED_CONSTRAINT)")
    assert error.message == "Constraint (A) is violated."
    assert error.name == "VIOLATED_CONSTRAINT"


@pytest.mark.parametrize("text", ["", "something broke", "Code: x"])
def test_what_is_not_an_error_of_clickhouse_still_becomes_one(text: str) -> None:
    error = read_engine_error(text)
    assert (error.code, error.name) == (1002, "UNKNOWN_EXCEPTION")
    assert error.message


def test_errno_errors_of_the_engine_are_recognized() -> None:
    error = read_engine_error("Code: 76. DB::ErrnoException: Cannot open file x: Permission denied. (CANNOT_OPEN_FILE)")
    assert (error.code, error.name) == (76, "CANNOT_OPEN_FILE")


def test_an_answer_reads_like_a_servers_answer() -> None:
    text = ClickHouseError(60, "UNKNOWN_TABLE", "Table t does not exist.").render("26.9.2.1")
    assert text == "Code: 60. DB::Exception: Table t does not exist. (UNKNOWN_TABLE) (version 26.9.2.1)\n"


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("SYNTAX_ERROR", HTTPStatus.BAD_REQUEST),
        ("UNKNOWN_SETTING", HTTPStatus.NOT_FOUND),
        ("ACCESS_DENIED", HTTPStatus.FORBIDDEN),
        ("AUTHENTICATION_FAILED", HTTPStatus.FORBIDDEN),
        ("TIMEOUT_EXCEEDED", HTTPStatus.REQUEST_TIMEOUT),
        ("QUERY_IS_TOO_LARGE", HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
        ("TOO_MANY_SIMULTANEOUS_QUERIES", HTTPStatus.SERVICE_UNAVAILABLE),
        ("TABLE_ALREADY_EXISTS", HTTPStatus.INTERNAL_SERVER_ERROR),
    ],
)
def test_each_kind_of_error_has_the_http_status_of_a_server(name: str, status: HTTPStatus) -> None:
    assert ClickHouseError(1, name, "").status == status

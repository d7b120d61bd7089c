"""A row is given up only for its own fault; everything else is waited out."""

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError, ProgrammingError

from sinks.faults import OPERATOR_S, OVERLOADED_S, PASSING_S, Outage, RefusedValue, fault_of

FRAME = "Received ClickHouse exception, code: {code}, server response: {said} (for url http://127.0.0.1:8123)"


def answer(code: int, said: str = "DB::Exception: no") -> DatabaseError:
    return DatabaseError(FRAME.format(code=code, said=said), code=code)


@pytest.mark.parametrize("code", [131, 321, 349, 407, 469, 691])
def test_a_value_the_server_refuses_is_the_rows_fault(code: int) -> None:
    assert fault_of(answer(code)) == RefusedValue("DB::Exception: no")


@pytest.mark.parametrize("code", [159, 202, 241, 242, 243, 252, 439, 745])
def test_a_server_with_too_much_to_do_is_given_time(code: int) -> None:
    assert fault_of(answer(code)) == Outage("DB::Exception: no", OVERLOADED_S)


@pytest.mark.parametrize("code", [16, 20, 33, 53, 60, 81, 117, 164, 497, 516, 1001, 99_999])
def test_whatever_is_not_surely_the_rows_fault_waits_for_somebody_to_put_it_right(code: int) -> None:
    fault = fault_of(answer(code))
    assert isinstance(fault, Outage)
    assert fault.retry_after_s == OPERATOR_S
    assert "DB::Exception: no" in fault.reason


def test_a_missing_table_tells_how_to_get_it() -> None:
    fault = fault_of(answer(60, "Table millrace.call_rows does not exist"))
    assert fault.reason == "the table is missing: run `millrace tables apply` (Table millrace.call_rows does not exist)"


def test_a_broken_connection_is_a_passing_outage_that_names_its_first_cause() -> None:
    error = OperationalError("Error executing HTTP request attempt 1 (http://127.0.0.1:8123)")
    error.__cause__ = ConnectionRefusedError(111, "Connection refused")
    fault = fault_of(error)
    assert fault == Outage("no answer (ConnectionRefusedError: [Errno 111] Connection refused)", PASSING_S)


def test_what_the_driver_itself_will_not_send_waits_for_somebody_too() -> None:
    assert fault_of(ProgrammingError("setting is read-only")) == Outage("setting is read-only", OPERATOR_S)


def test_a_long_answer_is_cut_and_put_on_one_line() -> None:
    reason = fault_of(answer(999, "a\n b" * 1_000)).reason
    assert "\n" not in reason
    assert len(reason) <= 500

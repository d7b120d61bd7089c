"""What commands show: totals, lines and values."""

import json
from dataclasses import replace as with_course
from decimal import Decimal

import pytest
from msgspec.structs import replace

from schemas.response import Failure, FunctionCall, Output, Response, Timings, ToolCall
from schemas.wire import Origin
from scripts.cli.costs import show_csv, shown, table_rows, total
from scripts.cli.response_line import HEADINGS, cells, line, said
from scripts.cli.screen import show_json, show_table, visible
from scripts.cli.sparkline import WIDTH, sparkline
from sinks.queries import CostLine

ACME = CostLine("acme", 3, 4, 1000, 500, Decimal("0.000750001"), Decimal("0.1"), 0)
NOBODY = CostLine("", 1, 0, 0, 0, None, None, 1)


def test_costs_add_up_exactly_and_what_is_unknown_stays_out_of_the_sum() -> None:
    whole = total([ACME, ACME, NOBODY])
    assert whole == CostLine(None, 7, 8, 2000, 1000, Decimal("0.001500002"), Decimal("0.2"), 1)


def test_a_sum_of_nothing_known_is_unknown_and_not_zero() -> None:
    assert (total([NOBODY]).cost_usd, total([]).cost_usd) == (None, None)


def test_the_last_row_is_the_total_and_a_line_without_a_name_says_so() -> None:
    rows = table_rows([ACME, NOBODY])
    assert [row[0] for row in rows] == ["acme", "(none)", "total"]
    assert rows[1][6:] == ("-", "-", "-", "1")
    assert rows[2][2:] == ("4", "4", "1000", "500", "0.000750", "100.0%", "0.100000", "1")


def test_the_course_of_a_line_is_a_row_of_blocks_and_nothing_is_a_gap() -> None:
    assert sparkline([Decimal(usd) for usd in (0, 1, 4, 8)]) == " ▁▄█"
    assert len(sparkline([Decimal(1)] * 700)) <= WIDTH
    assert sparkline([]) == ""
    whole = total(
        [with_course(ACME, course=(Decimal(1), Decimal(2))), with_course(ACME, course=(Decimal(3), Decimal(0)))]
    )
    assert whole.course == (Decimal(4), Decimal(2))


def test_csv_has_the_amounts_to_the_last_digit(capsys: pytest.CaptureFixture[str]) -> None:
    show_csv("tenant", [ACME, NOBODY])
    assert capsys.readouterr().out.splitlines() == [
        "tenant,requests,attempts,input_tokens,output_tokens,cost_usd,saved_usd,cost_unknown",
        "acme,3,4,1000,500,0.000750001,0.1,0",
        ",1,0,0,0,,,1",
    ]


def test_money_in_json_is_text_to_the_last_digit(capsys: pytest.CaptureFixture[str]) -> None:
    show_json([shown(ACME), shown(CostLine("free", 1, 1, 0, 0, Decimal("0E-9"), None, 0))])
    acme, free = json.loads(capsys.readouterr().out)
    assert (acme["cost_usd"], acme["requests"]) == ("0.000750001", 3)
    assert (free["cost_usd"], free["saved_usd"]) == ("0.000000000", None)


def test_what_was_received_can_neither_mark_up_nor_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("name",), [("\x1b[31m[bold]red[/bold]\x07\nsecond line",)])
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "[bold]red[/bold]  second line" in shown


def test_a_long_text_is_cut_where_asked() -> None:
    assert visible("abcdef", 4).plain == "abc…"
    assert visible("abcd", 4).plain == "abcd"


def response(output: Output | None = None, error: Failure | None = None) -> Response:
    return Response(
        request_id="r1",
        tenant_id=None,
        origin=Origin(topic="llm.requests", partition=0, offset=7),
        status="ok" if error is None else "rejected",
        error=error,
        output=output,
        model="gpt-4o-mini",
        cost_usd=Decimal("0.00012"),
        timings=Timings(total_ms=812, provider_ms=700, added_ms=112, stages={}),
        answered_at_ms=1_795_219_200_000,
        config_version=3,
    )


CALL = ToolCall(id="c1", function=FunctionCall(name="weather", arguments='{"city":"Oslo"}'))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (response(Output(content="Hello.")), "Hello."),
        (response(Output(refusal="I will not.")), "I will not."),
        (response(Output(tool_calls=(CALL,))), 'weather({"city":"Oslo"})'),
        (response(error=Failure(code="unknown_model", message="ask for another")), "unknown_model: ask for another"),
        (response(), ""),
    ],
)
def test_the_last_cell_of_a_response_is_its_answer_or_why_there_is_none(given: Response, expected: str) -> None:
    assert said(given) == expected


def test_lines_of_a_table_that_grows_stand_under_their_headings() -> None:
    heading, row = line(HEADINGS), line(cells(response(Output(content="Hello."))))
    for name, value in (("status", "ok"), ("model", "gpt-4o-mini"), ("cost USD", "0.000120"), ("answer", "Hello.")):
        assert row[heading.index(name) :].startswith(value)
    assert row.startswith("2026-11-21 00:00:00.000  r1 ")


def test_a_long_request_id_moves_no_other_column() -> None:
    long = replace(response(Output(content="Hello.")), request_id="x" * 300)
    assert line(cells(long)).index("Hello.") == line(HEADINGS).index("answer")

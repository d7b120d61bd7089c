"""What providers and their customers write down, read to the nano-dollar, or refused with the field named."""

from decimal import Decimal

import pytest

from streams.cost.usage_export import UnreadableExport, UsageRecord, read_export

LINE = (
    b'{"time": "2026-11-28T09:30:00.250+00:00", "provider": "openai", "model": "gpt-4o-mini", "request_id": "req-1",'
    b' "client_request_id": "a%20b", "tokens": {"input": 12}, "cost_usd": 0.000123}\n'
)
RECORD = UsageRecord(1_795_858_200_250, "openai", "gpt-4o-mini", "req-1", "a b", Decimal("0.000123000"))


def test_a_json_line_is_a_record_and_its_money_was_never_a_float() -> None:
    assert read_export(LINE, "bill.jsonl") == [RECORD]


def test_a_csv_with_the_same_names_says_the_same() -> None:
    text = (
        b"time,provider,model,request_id,client_request_id,cost_usd,team\r\n"
        b"2026-11-28T09:30:00.25Z,openai,gpt-4o-mini,req-1,a b,0.000123,growth\r\n"
    )
    assert read_export(text, "bill.csv") == [RECORD]


def test_the_last_moment_of_a_day_is_of_that_day_however_finely_it_is_told() -> None:
    (record,) = read_export(b"time,cost_usd\n2026-11-28T23:59:59.999900Z,1\n", "bill.csv", "groq")
    assert record.at_ms == 1_795_910_399_999


def test_a_record_without_a_provider_has_the_one_that_is_said() -> None:
    (record,) = read_export(b"time,cost_usd\n1795858200.250,1\n", "bill.csv", "groq")
    assert (record.provider, record.request_id, record.at_ms) == ("groq", None, 1_795_858_200_250)


def test_exports_that_overlap_are_read_once_but_equal_charges_without_an_id_are_two() -> None:
    assert len(read_export(LINE + LINE, "bill.jsonl")) == 1
    anonymous = b"time,cost_usd\n2026-11-28,1\n2026-11-28,1\n"
    assert [each.number for each in read_export(anonymous, "bill.csv", "groq")] == [0, 1]


def test_what_is_smaller_than_a_nano_dollar_is_rounded_to_the_even_one() -> None:
    (record,) = read_export(b"time,cost_usd\n2026-11-28,0.0000000025\n", "bill.csv", "groq")
    assert record.cost_usd == Decimal("2e-9")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b'{"time": "2026-11-28", "provider": "p"}\n', "bill, line 1: cost_usd is 'None'"),
        (b'{"time": "2026-11-28", "provider": "p", "cost_usd": true}\n', "cost_usd is 'True'"),
        (b'{"time": "2026-11-28", "provider": "p", "cost_usd": "NaN"}\n', "cost_usd is 'NaN'"),
        (b'{"time": "2026-11-28", "provider": "p", "cost_usd": 12345678901}\n', "cost_usd is '12345678901'"),
        (b"time,provider,cost_usd\n2026-11-28,p,1\nyesterday,p,1\n", "bill, line 3: time is 'yesterday'"),
        (b'{"time": "2026-11-28", "cost_usd": 1}\n', "provider is missing"),
        (b'{"time": "2026-11-28"\n', "bill, line 1: this is not JSON"),
        (b'{"a": 1}\n[1]\n', "provider is missing"),
        (b"\xff\xfe", "bill is not UTF-8 text"),
        (b'{"time": 1795000001000, "provider": "p", "cost_usd": 1}\n', "time is '1795000001000'"),
        (b'{"time": 1e999990, "provider": "p", "cost_usd": 1}\n', "bill, line 1: time is"),
        (b'{"time": "20261128", "provider": "p", "cost_usd": "1e9999999"}\n', "cost_usd is"),
        (b'{"a": ' + b"[" * 100_000 + b"\n", "bill, line 1: this is not JSON"),
        (b'{"time": 1795000001, "provider": "p", "cost_usd": 1, "request_id": "\\ud800"}\n', "half of a character"),
        (b'[{"time": 1795000001, "cost_usd": 1}]', "neither JSON lines nor CSV"),
        (b"<html><body>503</body></html>", "neither JSON lines nor CSV"),
    ],
)
def test_what_cannot_be_read_is_told_by_line_and_field(content: bytes, complaint: str) -> None:
    with pytest.raises(UnreadableExport, match=complaint.replace("(", r"\(")):
        read_export(content, "bill")

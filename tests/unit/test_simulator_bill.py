"""The bill's lines, sums and file; the limits of a key; and a command line that carries every setting."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import orjson
import pytest
from pydantic import SecretStr, ValidationError
from pydantic_settings import CliApp

from scripts.simulator.bill import Bill, Charge, Ending, key_id, plain
from scripts.simulator.prices import Catalog
from scripts.simulator.process import flags
from scripts.simulator.quota import Quota
from scripts.simulator.settings import SimulatorSettings
from scripts.simulator.usage import Usage

CATALOG = Catalog.load()


def now() -> datetime:
    return datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


def charge(model: str, usage: Usage, ending: Ending = "complete") -> Charge:
    known = CATALOG.find("openai", model)
    assert known is not None
    return Charge(
        model=known,
        arrived=now() - timedelta(milliseconds=250),
        key_id=key_id("sk-test"),
        endpoint="/v1/chat/completions",
        request_id="req_1",
        client_request_id="mine-1",
        stream=False,
        usage=usage,
        ending=ending,
    )


def test_a_line_has_the_call_its_tokens_its_prices_and_its_exact_cost() -> None:
    bill = Bill(now)
    bill.charge(charge("gpt-4o", Usage(input=100, cache_read=1_024, output=10)))
    (line,) = bill.lines()
    assert orjson.loads(line) == {
        "arrived": "2026-11-21T09:29:59.750+00:00",
        "time": "2026-11-21T09:30:00.000+00:00",
        "key_id": sha256(b"sk-test").hexdigest()[:12],
        "provider": "openai",
        "model": "gpt-4o",
        "endpoint": "/v1/chat/completions",
        "request_id": "req_1",
        "client_request_id": "mine-1",
        "stream": False,
        "kind": "complete",
        "tokens": {
            "input": 100,
            "cache_read": 1_024,
            "cache_write_5m": 0,
            "cache_write_1h": 0,
            "output": 10,
            "reasoning": 0,
        },
        "usd_per_million": {"input": "2.5", "cache_read": "1.25", "output": "10"},
        "cost_usd": "0.00163",
    }
    assert Decimal("0.00163") == (100 * Decimal("2.5") + 1_024 * Decimal("1.25") + 10 * Decimal(10)) / 1_000_000


def test_the_summary_adds_up_by_model_and_in_total() -> None:
    bill = Bill(now)
    bill.charge(charge("gpt-4o", Usage(input=1, output=1)))
    bill.charge(charge("gpt-4o", Usage(input=2), "abandoned"))
    bill.charge(charge("gpt-4o-mini", Usage(input=1), "cut"))
    summary = bill.summary()
    assert (summary["calls"], summary["cost_usd"]) == (3, "0.00001765")
    models = orjson.loads(orjson.dumps(summary["models"]))
    assert models["gpt-4o"]["cost_usd"] == "0.0000175"
    assert models["gpt-4o"]["tokens"]["input"] == 3
    assert models["gpt-4o"]["kinds"] == {"complete": 1, "cut": 0, "abandoned": 1}
    assert models["gpt-4o-mini"] == {
        "calls": 1,
        "cost_usd": "0.00000015",
        "tokens": Usage(input=1).counts(),
        "kinds": {"complete": 0, "cut": 1, "abandoned": 0},
    }


def test_a_file_has_every_line_at_once_and_keeps_them_when_the_bill_is_cleared(tmp_path: Path) -> None:
    file = tmp_path / "bill.jsonl"
    bill = Bill(now, file)
    bill.charge(charge("gpt-4o", Usage(input=1)))
    bill.charge(charge("gpt-4o", Usage(input=2)))
    assert file.read_bytes() == b"".join(bill.lines())
    bill.clear()
    bill.close()
    assert bill.summary()["calls"] == 0
    assert len(file.read_bytes().splitlines()) == 2


@pytest.mark.parametrize(
    ("amount", "shown"),
    [("0.00000015", "0.00000015"), ("1E-7", "0.0000001"), ("2.50", "2.5"), ("0", "0"), ("100", "100")],
)
def test_amounts_are_shown_exactly_and_without_exponent(amount: str, shown: str) -> None:
    assert plain(Decimal(amount)) == shown


def test_an_ended_call_keeps_the_thinking_it_did_first() -> None:
    usage = Usage(input=5, output=10, reasoning=64)
    assert usage.after(0) == Usage(input=5)
    assert usage.after(40) == Usage(input=5, reasoning=40)
    assert usage.after(70) == Usage(input=5, reasoning=64, output=6)
    assert usage.after(1_000) == usage


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_key_has_its_requests_a_minute_and_gets_them_back_with_time() -> None:
    clock = Clock()
    quota = Quota(2, 0, clock)
    standings = [quota.take("key", "gpt-4o", 10) for _ in range(3)]
    assert [standing.exceeded for standing in standings] == [None, None, "requests"]
    assert standings[2].wait_s == pytest.approx(30)
    clock.now_s = 30
    assert quota.take("key", "gpt-4o", 10).exceeded is None


def test_tokens_are_limited_for_each_key_and_model_on_their_own() -> None:
    quota = Quota(0, 1_000, Clock())
    assert quota.take("key", "gpt-4o", 800).remaining_tokens == 200
    refused = quota.take("key", "gpt-4o", 500)
    assert (refused.exceeded, refused.wait_s) == ("tokens", pytest.approx(18))
    assert quota.take("key", "gpt-4o-mini", 500).exceeded is None
    assert quota.take("other", "gpt-4o", 500).exceeded is None


def test_a_call_larger_than_the_whole_limit_waits_for_a_full_bucket_only() -> None:
    assert Quota(0, 1_000, Clock()).take("key", "gpt-4o", 5_000).exceeded is None


def test_a_command_line_carries_every_setting(tmp_path: Path) -> None:
    settings = SimulatorSettings(
        host="::1",
        port=8_089,
        port_file=tmp_path / "port",
        seed=11,
        latency_ms=40.5,
        ttft_ms=10,
        latency_spread=0.2,
        tokens_per_s=90,
        answer_tokens=33,
        answer_spread=0.1,
        key=(SecretStr("sk-one"), SecretStr("sk-two")),
        fault=("429=0.05", "hang=0.01"),
        fault_plan=tmp_path / "plan.json",
        requests_per_minute=60,
        tokens_per_minute=1_000,
        stop_at_eof=True,
        bill_file=tmp_path / "bill.jsonl",
    )
    defaults = SimulatorSettings()
    assert [name for name, value in settings if value == getattr(defaults, name)] == []
    assert CliApp.run(SimulatorSettings, cli_args=flags(settings)) == settings


@pytest.mark.parametrize("fault", ["429", "flood=0.1", "429=often", "429=1.5"])
def test_a_fault_flag_that_cannot_be_read_is_refused_at_the_start(fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        SimulatorSettings(fault=(fault,))


def test_the_plan_has_the_rules_of_the_file_and_of_the_flags(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_bytes(b'{"rules": [{"kind": "cut", "rate": 0.1, "model": "gpt-4o", "after_tokens": 5}]}')
    rules = SimulatorSettings(fault=("429=0.05",), fault_plan=file).plan().rules
    assert [(rule.kind, rule.rate, rule.model, rule.after_tokens) for rule in rules] == [
        ("cut", 0.1, "gpt-4o", 5),
        ("429", 0.05, None, None),
    ]

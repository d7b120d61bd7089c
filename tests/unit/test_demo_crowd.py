"""Many requests out of few, and what a run of them has to come to."""

import json
from decimal import Decimal
from pathlib import Path

from scripts.cli.config_file import parse
from scripts.demo.crowd import repeated, simulator_flags, without_limits
from scripts.demo.exchange import Outgoing
from scripts.demo.summary import BookedTotals, Reconciled, summarise
from scripts.local.parts import SAMPLE_CONFIG
from scripts.simulator.settings import SimulatorSettings


def request(request_id: str, text: str) -> Outgoing:
    value = {"request_id": request_id, "messages": [{"role": "user", "content": text}]}
    return Outgoing(request_id, "acme", json.dumps(value).encode())


def test_each_round_has_new_ids_and_asks_new_questions_and_the_first_is_the_input_itself() -> None:
    few = [request("a", "Why?"), request("b", "How?"), Outgoing(None, None, b"not json")]
    many = repeated(few, 5)
    assert many[:3] == few
    assert [each.request_id for each in many[3:]] == ["a~1", "b~1"]
    asked = json.loads(many[3].value)
    assert (asked["request_id"], asked["messages"][-1]["content"]) == ("a~1", "Why? (1)")
    assert repeated(few, 6)[5] == few[2]


def test_the_sample_configuration_without_limits_holds_no_tenant_to_a_rate(tmp_path: Path) -> None:
    objects = parse(without_limits(SAMPLE_CONFIG, tmp_path / "free.toml").read_text(), "free.toml", {})
    tenants = [each for each in objects if each.kind == "tenant"]
    assert len(tenants) > 1
    assert all(each.limits.requests_per_minute is None for each in tenants)


def test_the_simulator_takes_the_faults() -> None:
    flags = simulator_flags()
    assert len(SimulatorSettings(fault=flags[1::2]).plan().rules) == len(flags) // 2


def test_a_run_is_right_when_nothing_is_left_of_the_difference() -> None:
    def right(difference: str, unexplained: int = 0, wrong: int = 0) -> bool:
        left = Reconciled(Decimal(difference), unexplained, wrong, 3, Decimal("0.1"))
        return summarise([], [], BookedTotals(0, 0, Decimal(1), 3), Decimal(2), left).is_right

    assert right("0E-9")
    assert not right("0.000000001")
    assert not right("0", unexplained=1)
    assert not right("0", wrong=1)
